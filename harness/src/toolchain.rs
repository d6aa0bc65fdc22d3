//! The compiler: where it is, which it is, and what of the machine's files it needs.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Error, Result, anyhow};

/// The compiler and cargo, looked for once.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Both versions, in words.
    pub version: String,
    /// Cargo itself, not a stand-in that would choose among several.
    pub cargo: PathBuf,
    /// The folder that holds the compiler, its libraries and, as a rule, cargo.
    sysroot: PathBuf,
    /// Cargo's own folder, with the sources of what the labs depend on.
    home: PathBuf,
}

impl Toolchain {
    /// The toolchain of this machine.
    ///
    /// # Errors
    ///
    /// When cargo or rustc cannot be run.
    pub fn found() -> Result<&'static Toolchain> {
        static FOUND: OnceLock<Toolchain> = OnceLock::new();
        if let Some(toolchain) = FOUND.get() {
            return Ok(toolchain);
        }
        let toolchain = Toolchain::look()?;
        Ok(FOUND.get_or_init(|| toolchain))
    }

    fn look() -> Result<Toolchain> {
        let said = |program: OsString, arguments: &[&str]| -> Result<String> {
            let name = program.to_string_lossy().into_owned();
            let output = Command::new(program).args(arguments).output();
            let Output { stdout, .. } = output.map_err(|error| missing(&name, &error))?;
            Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
        };
        let cargo = said(cargo_program(), &["--version"])?;
        let rustc = said("rustc".into(), &["--version"])?;
        let sysroot = PathBuf::from(said("rustc".into(), &["--print", "sysroot"])?);
        let own = sysroot.join("bin/cargo");
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".cargo"))
        });
        Ok(Toolchain {
            version: format!("{rustc}, {cargo}"),
            cargo: if own.exists() { own } else { PathBuf::from(cargo_program()) },
            sysroot,
            home: home.unwrap_or_default(),
        })
    }

    /// What of the machine's files it needs, on top of the system's: never a password or a token.
    pub fn seen(&self) -> Vec<PathBuf> {
        let parts = ["registry", "git", "config", "config.toml"].map(|part| self.home.join(part));
        let mut seen: Vec<PathBuf> = parts.into_iter().filter(|path| path.exists()).collect();
        seen.push(self.sysroot.clone());
        seen
    }

    /// All of its environment where it compiles a stranger's program.
    pub fn environment(&self, target: &Path) -> Vec<(OsString, OsString)> {
        let tools = self.sysroot.join("bin");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display());
        let pairs: [(&str, OsString); 8] = [
            ("PATH", path.into()),
            ("HOME", "/tmp".into()),
            ("LANG", "C.UTF-8".into()),
            ("CARGO_HOME", self.home.clone().into()),
            ("CARGO_TARGET_DIR", target.into()),
            ("CARGO_TERM_COLOR", "never".into()),
            ("RUSTC", tools.join("rustc").into()),
            // What a student reads should not depend on how wide a machine is.
            ("CARGO_BUILD_JOBS", "2".into()),
        ];
        pairs.into_iter().map(|(key, value)| (key.into(), value)).collect()
    }
}

/// Cargo, as it is called where we were started from.
pub(crate) fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A program of the toolchain cannot be run.
pub(crate) fn missing(program: &str, error: &io::Error) -> Error {
    anyhow!(
        "{program} cannot be run ({error})\n  what to do: install Rust from https://rustup.rs, then open a new terminal"
    )
}
