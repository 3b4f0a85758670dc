//! What the kernel says about this process, under the names that all exporters have for it. What cannot be read is left
//! out.

use std::{fmt, fs, time::SystemTime};

use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::{
    Sources,
    sheet::{Sheet, bytes, only, seconds},
};
use crate::observe::tally::tally;

pub(super) fn write(_: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let started = tally().started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let help = "Start time of the process, in Unix time.";
    sheet.gauge(seconds("process_start_time"), help, only(started.as_secs_f64()))?;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    sheet.counter(seconds("process_cpu"), "Processor time, user and system.", only(cpu))?;
    if let Some(open) = open_files() {
        sheet.gauge("process_open_fds", "Open file descriptors.", only(open))?;
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        sheet.gauge("process_max_fds", "Most open file descriptors.", only(most))?;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, field, help) in [
        ("process_resident_memory", "VmRSS:", "Resident memory."),
        ("process_virtual_memory", "VmSize:", "Virtual memory."),
    ] {
        if let Some(kilobytes) = number(&status, field) {
            sheet.gauge(bytes(name), help, only(kilobytes * 1024))?;
        }
    }
    if let Some(threads) = number(&status, "Threads:") {
        sheet.gauge("process_threads", "Threads of the process.", only(threads))?;
    }
    Ok(())
}

/// Newer kernels (6.2) tell the number as the folder's size; with older ones it has to be counted.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    let told = fs::metadata(folder).ok()?.len();
    if told > 0 { Some(told) } else { Some(fs::read_dir(folder).ok()?.count() as u64) }
}

/// The first number behind a field of `/proc/self/status`.
fn number(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let status = "Name:\thoming\nVmSize:\t   20 kB\nVmRSS:\t\t 1234 kB\nThreads:\t3\n";
        assert_eq!((number(status, "VmRSS:"), number(status, "Threads:")), (Some(1234), Some(3)));
        assert_eq!(number(status, "VmSwap:"), None);
        let (before, _file) = (open_files().unwrap(), fs::File::open("/dev/null").unwrap());
        assert!(before > 2 && open_files().unwrap() > 2);
    }
}
