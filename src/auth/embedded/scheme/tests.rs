//! Stored passwords made by `doveadm pw` and by libxcrypt, all for the same password.

use super::*;

const PASSWORD: &str = "päss wörd";

const STORED: &[&str] = &[
    "{PLAIN}päss wörd",
    "{CLEARTEXT}päss wörd",
    "{PLAIN.B64}cMOkc3Mgd8O2cmQ=",
    "{CRYPT}$2y$05$IuiC1s2qDA3UONGlnjlVTOvt/O8CRUH7sgnXQNYJfYTMiwyiNb46W",
    "$2b$05$abcdefghijklmnopqrstuucAlS3LCZL9LcVSWwMtNJG6yF5tEYLy2",
    "{BLF-CRYPT}$2y$05$38HiNkG9fnbOv/sJw6N0ieYprUuDDrg0zvUTmjPbSTxt9Yt.44byi",
    "{SHA256-CRYPT}$5$7pcuvGj5DgfoeO/l$Bahljn.gNm0Go3S0wjyPUTOJLI9F5l9/..1As751hU1",
    "$5$s$rGkofq1d7S4Nj6n.QLaljcuv.jZ08F5PnwvuK5Fp1zC",
    "{SHA512-CRYPT}$6$RMHPOqKtklOTrPAn$iwUwor7gCrKuvb22nKEodHHA51ThE/.YS/zFAPCYLDvKosKNsI8JD/bVtzO0KJrWnoD58xlOIsXg0HoEBVTTy/",
    "$6$rounds=10000$saltsalt$Gs9yBAC1T2bZjCKjsNMUwrlMi5aS5kltawyUeu8NahFWdWHPKKa0vfzssa29TP.MtGL.zfeWQEKd.PlQ8k1bB.",
    "{SHA512-CRYPT.B64}JDYkdlVGNUxuVEo2VjV0aWp4WiRSTHE4SVdCWXk5cmd1MUpDQlJNWDJHWnVDc0xCTENIYU9BbjdhUkpLdFQzWFVTU1h4bFpjS3lUeThJR0Y5NVdiY1YwQ0FMV2lnMnZhZ0JqMnZXaVEvLw==",
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$HxE9mrqu3jgmChT98fJIhw$44f2Ni69WMudNCd26ZCltPXVRD1mRxGIzEwGXKThgt0",
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$Vxq7mgV20SxZj2uOHolnmQ$ImBswvFx1WoOdFASmhIITVNIMcl0Nh+djCn2k9arJOw",
    "{CRYPT}$y$j9T$abcdefghijklmnop$4ootTRsQXaTCcjRCrUmP06kOJiFj2Lgk2m3EHBs/9kB",
    "{PLAIN-MD5}75755b385f99d8386dcb1ed74e7c7525",
    "{LDAP-MD5}dXVbOF+Z2Dhtyx7XTnx1JQ==",
    "{SMD5}9xbuj8buxtWgly7yT48UXLa6/xM=",
    "{SHA}/i4CfWuUyOmLaC9O8e9k/TBfbK8=",
    "{SHA1}/i4CfWuUyOmLaC9O8e9k/TBfbK8=",
    "{SSHA}bO1+f4vBNJB9qgJdK8PFDjFE/hak+FxK",
    "{SSHA.HEX}d1f5487e66ce1c2f2053db0e94bf5b2f19471abc00191f79",
    "{SHA256}nZeOKZw+IphR1Bgwa5CX4YW3jBofBqPGXszHb5xN75k=",
    "{SHA256}9d978e299c3e229851d418306b9097e185b78c1a1f06a3c65eccc76f9c4def99",
    "{SHA256.HEX}9d978e299c3e229851d418306b9097e185b78c1a1f06a3c65eccc76f9c4def99",
    "{SSHA256}uvyjjrWvagAPMiLBeyyzDzkzZMmX+TUNTH846kk0oO5aaLhP",
    "{SHA512}wPSLvqJa09dVpu1yACeVU+xsmRLkw8NS+HnXqihn8FjsLrCFi3LTzyVZvUP6Rejv6swr/Ao2OINvzQwmYVvwDg==",
    "{SSHA512}rkOebELwoV3hTPE4VFa5qDIXkF2hU0xYE4ZOb+p78yjVl4MBDF3KSTRTqCAOuDPfy7WFq8DNlOOv3pXn5Ia/8wPTYlo=",
];

fn verify(stored: &str, password: &str) -> Result<bool, SchemeError> {
    Stored::parse(stored.as_bytes(), Scheme::Crypt).unwrap().verify(&Secret::from(password))
}

#[test]
fn passwords_stored_by_dovecot_are_verified() {
    for stored in STORED {
        assert_eq!(verify(stored, PASSWORD), Ok(true), "{stored}");
        assert_eq!(verify(stored, "päss wörD"), Ok(false), "{stored}");
        assert_eq!(verify(stored, ""), Ok(false), "{stored}");
    }
    assert_eq!(verify("{plain.hex}6162", "ab"), Ok(true));
}

#[test]
fn what_cannot_be_verified_is_said() {
    let unsupported = ["$1$abcdefgh$cHEQ93worP4USgc5xGNtp/", "{CRYPT}abJnggxhB/yWI", "$gy$x$y$z", "x"];
    for stored in unsupported {
        assert_eq!(verify(stored, "x"), Err(SchemeError::Unsupported), "{stored}");
    }
    let malformed = [
        "{SHA256-CRYPT}$6$a$b",
        "{SHA512-CRYPT}$6$a",
        "{BLF-CRYPT}$2y$99$x",
        "{ARGON2ID}$argon2id$v=19$m=1$x",
        "$y$j9T$",
        "{SHA}AAAA",
        "{SHA}!",
        "{SSHA}/i4CfWuUyOmLaC9O8e9k/TBfbK8=",
        "{SHA256.HEX}9d978",
        "{SHA256.HEX}zz",
    ];
    for stored in malformed {
        assert_eq!(verify(stored, "x"), Err(SchemeError::Malformed), "{stored}");
    }
    for unknown in ["{NOSUCH}x", "{PLAIN.ROT13}x", "{}x"] {
        assert!(Stored::parse(unknown.as_bytes(), Scheme::Plain).is_none(), "{unknown}");
    }
}

#[test]
fn an_empty_stored_password_fits_none() {
    assert_eq!(verify("", ""), Ok(false));
    assert_eq!(verify("{PLAIN}", ""), Ok(false));
}

#[test]
fn long_passwords_are_not_hashed() {
    let long = "x".repeat(HASHED_PASSWORD_BYTES_MAX + 1);
    let malformed = "{SHA512-CRYPT}$6$a";
    assert_eq!(verify(malformed, &long), Ok(false), "the hash is not even looked at");
    assert_eq!(verify(&format!("{{PLAIN}}{long}"), &long), Ok(true));
}

#[test]
fn any_stored_password_is_survived() {
    const HEADS: [&str; 8] =
        ["{SHA}", "{SSHA256.HEX}", "{PLAIN.B64}", "{", "$1$", "{SMD5}", "{PLAIN-MD5}", ""];
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(head, tail)| {
        let stored = [HEADS[usize::from(*head) % HEADS.len()].as_bytes(), tail].concat();
        if let Some(stored) = Stored::parse(&stored, Scheme::Plain) {
            let _ = stored.verify(&Secret::from("x"));
        }
    });
}
