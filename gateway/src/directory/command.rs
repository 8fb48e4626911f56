//! `gateway make-directory-key` and `gateway sign-directory`: what those who keep the directory do.

use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use service::program::ProgramError;

use super::signed::{PREFIX, read_file, sign};

/// `gateway make-directory-key`
#[derive(Debug, Args)]
pub struct MakeKey {
    /// Where the private key goes; the public key goes beside it, with .pub appended
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `gateway sign-directory`
#[derive(Debug, Args)]
pub struct Sign {
    /// The private key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The directory; it is replaced by itself with its signature
    #[arg(value_name = "DIRECTORY")]
    pub file: PathBuf,
}

/// Makes a key pair. A file that exists is left alone.
pub fn make_key(MakeKey { file }: &MakeKey) -> Result<(), ProgramError> {
    let failed = |error: &dyn std::fmt::Display| ProgramError::failed("making a key", error);
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|e| failed(&e))?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|e| failed(&e))?;
    let public = [&PREFIX[..], pair.public_key().as_ref()].concat();
    let public_file = beside(file, ".pub");
    create(file, &pem("PRIVATE KEY", pkcs8.as_ref()))?;
    create(&public_file, &pem("PUBLIC KEY", &public))?;
    tell(&format!("private: {}\npublic:  {}", file.display(), public_file.display()))
}

/// Checks a directory, and signs it.
pub fn sign_directory(Sign { key, file }: &Sign) -> Result<(), ProgramError> {
    let (text, listed) = sign(&read_file(file)?, key)?;
    // In one step: a gateway that reads it has the one before or this one.
    let new = beside(file, ".new");
    let failed = |error| ProgramError::failed(&format!("writing {}", file.display()), error);
    std::fs::write(&new, text).map_err(failed)?;
    std::fs::rename(&new, file).map_err(failed)?;
    let (serial, regions, suspended) =
        (listed.serial, listed.regions.len(), listed.suspended.len());
    tell(&format!("signed: serial {serial}, {regions} regions, {suspended} of them suspended"))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Writes a new file that only its owner may read.
fn create(file: &Path, text: &str) -> Result<(), ProgramError> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |error| ProgramError::failed(&format!("writing {}", file.display()), error);
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

fn tell(text: &str) -> Result<(), ProgramError> {
    let failed = |error| ProgramError::failed("printing", error);
    writeln!(std::io::stdout().lock(), "{text}").map_err(failed)
}
