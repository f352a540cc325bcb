//! How much memory the process holds.

/// Memory that the process holds, in bytes; none where the system doesn't tell.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn resident() -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_process_holds_some_memory() {
        let bytes = super::resident().unwrap();
        assert!((1 << 16..1 << 40).contains(&bytes), "{bytes}");
    }
}
