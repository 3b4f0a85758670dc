//! Filling in a user name. Every rule is proven by `tests/vectors/director_username_hash.tsv`.

use md5::{Digest as _, Md5};
use sha1::Sha1;

use super::{Algorithm, Condition, Digest, Modifier, Name, Part, Shape, Test, Variable};

pub(super) fn parts(parts: &[Part], user: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(user.len());
    for part in parts {
        match part {
            Part::Literal(bytes) => out.extend_from_slice(bytes),
            Part::Variable(variable) => out.extend(expanded(variable, user)),
            Part::Digest(digest) => out.extend(digested(digest, user)),
            Part::If(condition) => out.extend(decided(condition, user)),
        }
    }
    out
}

fn value(name: Name, user: &[u8]) -> &[u8] {
    let mut halves = user.splitn(2, |b| *b == b'@');
    let (username, domain) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    match name {
        Name::User => user,
        Name::Username => username,
        Name::Domain => domain,
    }
}

fn expanded(variable: &Variable, user: &[u8]) -> Vec<u8> {
    let mut shape = variable.shape;
    let mut value = value(variable.name, user).to_vec();
    for modifier in &variable.modifiers {
        value = modified(*modifier, value, &mut shape);
    }
    shaped(value, shape)
}

fn modified(modifier: Modifier, value: Vec<u8>, shape: &mut Shape) -> Vec<u8> {
    match modifier {
        Modifier::Lower => value.to_ascii_lowercase(),
        Modifier::Upper => value.to_ascii_uppercase(),
        Modifier::Escape => escaped(&value),
        Modifier::Hex => {
            let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse::<u64>().ok());
            format!("{:x}", number.unwrap_or(0)).into_bytes()
        }
        Modifier::Reverse => value.into_iter().rev().collect(),
        Modifier::LegacyHash => number_in_range(u64::from(legacy_hash(&value)), shape),
        Modifier::Md5Hash => {
            let digest = Md5::digest(&value);
            let first: [u8; 8] = std::array::from_fn(|i| digest.get(i).copied().unwrap_or(0));
            number_in_range(u64::from_be_bytes(first), shape)
        }
        Modifier::Md5Hex => hex(&Md5::digest(&value)),
        Modifier::DomainComponents => value.split(|b| *b == b'.').collect::<Vec<_>>().join(&b",dc="[..]),
        Modifier::TrimRight => value.trim_ascii_end().to_vec(),
    }
}

fn escaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        if matches!(byte, b'"' | b'\'' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// `%5Hu`: the width is a modulus, the offset a minimum length in hex digits; both are used up.
fn number_in_range(number: u64, shape: &mut Shape) -> Vec<u8> {
    let modulus = u64::try_from(shape.width).unwrap_or(0);
    let number = number.checked_rem(modulus).unwrap_or(number);
    let digits = usize::try_from(shape.offset).unwrap_or(0).min(64);
    *shape = Shape::default();
    // The reference prints 32 bits.
    format!("{:0digits$x}", number & 0xffff_ffff).into_bytes()
}

/// The PJW hash as `%H` has it.
fn legacy_hash(value: &[u8]) -> u32 {
    value.iter().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(*byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) ^ high
    })
}

/// A negative offset counts from the end; a negative width leaves that many out at the end.
fn shaped(value: Vec<u8>, shape: Shape) -> Vec<u8> {
    let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let offset = i64::from(shape.offset);
    let start = if offset < 0 { (length + offset).max(0) } else { offset.min(length) };
    let width = i64::from(shape.width);
    let end = match width {
        0 => length,
        1.. => (start + width).min(length),
        _ => (length + width).max(start),
    };
    let kept = value.get(start as usize..end as usize).unwrap_or_default().to_vec();
    let missing = usize::try_from(width).unwrap_or(0).min(64).saturating_sub(kept.len());
    if shape.zero_padded { [vec![b'0'; missing], kept].concat() } else { kept }
}

fn digested(digest: &Digest, user: &[u8]) -> Vec<u8> {
    let mut bytes = [&digest.salt[..], value(digest.name, user)].concat();
    for _ in 0..digest.rounds {
        bytes = match digest.algorithm {
            Algorithm::Md5 => Md5::digest(&bytes).to_vec(),
            Algorithm::Sha1 => Sha1::digest(&bytes).to_vec(),
        };
    }
    if let Some(bits) = digest.truncate_bits {
        bytes.truncate(bits.div_ceil(8));
    }
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn decided(condition: &Condition, user: &[u8]) -> Vec<u8> {
    let equal = parts(&condition.left, user) == parts(&condition.right, user);
    let chosen = match (condition.test, equal) {
        (Test::Equal, true) | (Test::NotEqual, false) => &condition.then,
        _ => &condition.otherwise,
    };
    parts(chosen, user)
}
