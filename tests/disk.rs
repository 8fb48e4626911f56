//! A disk whose power can be cut: an ext4 file system in a file, mounted over a loop device. When it is
//! cut, all that was not flushed is gone and whatever is asked of it fails, until the power is back.
//!
//! It models the loss of the page cache, not torn sectors or a drive that lies about its flushes.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const MEGABYTES: u64 = 512;
/// `ioctl(folder, FS_IOC_SHUTDOWN, FS_SHUTDOWN_FLAGS_NOLOGFLUSH)`: not even the file system's log is
/// written any more. No crate of ours may call it, for it needs `unsafe`.
const CUT: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// The disk; it is unmounted when its story ends, however it ends.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    folder: PathBuf,
    _whole: TempDir,
}

impl Disk {
    /// A new disk, or none if this machine lets nobody mount one.
    pub(crate) fn new() -> Option<Self> {
        let whole = TempDir::new().unwrap();
        let (image, folder) = (whole.path().join("image"), whole.path().join("disk"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::File::create(&image).unwrap().set_len(MEGABYTES << 20).unwrap();
        let disk = Self { image, folder, _whole: whole };
        let made = succeeds(Command::new("mkfs.ext4").arg("-qF").arg(&disk.image));
        (made && disk.mount()).then_some(disk)
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Cuts the power.
    pub(crate) fn cut(&self) {
        let mut python = Command::new("python3");
        assert!(succeeds(python.args(["-c", CUT]).arg(&self.folder)), "the power was not cut");
    }

    /// The power is back; nobody may have a file of it open.
    pub(crate) fn restore(&self) {
        assert!(self.unmount() && self.mount(), "the disk does not come back");
    }

    fn mount(&self) -> bool {
        succeeds(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.folder))
    }

    fn unmount(&self) -> bool {
        succeeds(Command::new("umount").arg(&self.folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Whether a program is here and succeeds; what it prints is shown with a test that fails.
fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
