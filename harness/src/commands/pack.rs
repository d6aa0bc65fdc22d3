//! `cargo lab pack`: puts what a student hands in into one archive.

use std::io::{Cursor, Write};

use anyhow::{Context, Result, bail};
use zip::write::SimpleFileOptions;

use super::{Done, say};
use crate::cli::Pack;
use crate::course::{Course, Lab};
use crate::exit_code::{Blame, ExitCode};
use crate::results;
use crate::submission::{Origin, Submission};

pub(super) fn pack(course: &Course, arguments: &Pack) -> Done {
    let labs = course.chosen(&arguments.labs).usage()?;
    let shown = arguments.out.display();
    if arguments.out.exists() && !arguments.force {
        let told =
            format!("{shown} is there already\n  what to do: name another file, or say --force");
        return Err(anyhow::anyhow!(told)).usage();
    }
    let archive = archive(course, &labs).usage()?;
    results::write_whole(&arguments.out, &archive).usage()?;
    let names: Vec<&str> = labs.iter().map(|lab| lab.id.as_str()).collect();
    say(&format!("packed {} into {shown}", names.join(", ")));
    Ok(ExitCode::Passed)
}

/// The listed files of these labs, and nothing else. The same files give the same bytes.
fn archive(course: &Course, labs: &[&Lab]) -> Result<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    for lab in labs {
        let submission = Submission::collect(course, lab, &Origin::Workspace)?;
        for (path, bytes) in &submission.files {
            let name = format!("{}/{}", lab.id, path.display());
            if bytes.is_empty() {
                bail!("{name} is empty\n  what to do: `cargo lab reset {}` gives it back", lab.id);
            }
            writer.start_file(name, options).context("the archive cannot be written")?;
            writer.write_all(bytes)?;
        }
    }
    Ok(writer.finish().context("the archive cannot be written")?.into_inner())
}
