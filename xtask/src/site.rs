//! The site: what the server hands out as files.
//!
//! ```text
//! site/pkg/switchback.js  switchback_bg.wasm  switchback.css      made here
//! site/...                                                        public/ as it is
//! site/**/*.br                                                    beside each of them that shrinks
//! ```
//!
//! Design notes. wasm-bindgen runs as a library, so that no separately installed tool can be of
//! another version than the crate. wasm-opt is left out on purpose: it makes the file smaller and
//! what is transferred larger. Files are compressed here and not per request, since they change
//! only with a build. A stamp file beside the site remembers the inputs of what was made, so that a
//! second build does only what changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use brotli::enc::BrotliEncoderParams;
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::workspace::{Workspace, files_below, relative, run, timed};

/// The name of the pages' code: `pkg/switchback.js`, `pkg/switchback_bg.wasm`, `pkg/switchback.css`.
const OUTPUT_NAME: &str = "switchback";
/// Smaller files fit in one packet as they are.
const COMPRESS_FROM_BYTES: usize = 1000;
/// What Brotli makes smaller. Pictures and WOFF2 fonts are compressed by their own format.
const COMPRESSIBLE: [&str; 9] = [
    "css", "html", "ico", "js", "json", "md", "svg", "txt", "wasm",
];
/// Raised when this file makes the same inputs into something else.
const RECIPE: &str = "1";

/// How the WASM is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wasm {
    /// The profile `wasm-release`: what is shipped.
    Small,
    /// The profile `dev`: names kept, for fast rounds at a desk.
    Quick,
}

/// How hard the files are compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// For a desk.
    Quick,
    /// For shipping.
    Full,
}

impl Compression {
    fn quality(self) -> i32 {
        match self {
            Self::Quick => 5,
            Self::Full => 11,
        }
    }
}

/// The size of the WASM and JavaScript together, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct BrowserCode {
    /// As stored.
    pub raw: usize,
    /// As transferred.
    pub compressed: usize,
}

/// What was made last time, from which inputs: name of the step or file to the hash of its inputs.
type Stamps = BTreeMap<String, String>;

/// Compiles the front end and lays out `<folder>/site`.
pub fn build(
    workspace: &Workspace,
    folder: &Path,
    wasm: Wasm,
    compression: Compression,
) -> Result<BrowserCode> {
    let compiled = timed("the pages: compile to WASM", || compile(workspace, wasm))?;
    let site = folder.join("site");
    let stamp_file = folder.join("site-stamps.json");
    let mut stamps = read_stamps(&stamp_file)?;

    let bound = folder.join("site-bindgen");
    let code =
        fs::read(&compiled).with_context(|| format!("cargo built no {}", compiled.display()))?;
    let code_hash = hash(&[
        RECIPE.as_bytes(),
        wasm_bindgen_version(workspace)?.as_bytes(),
        &code,
    ]);
    if stamps.get("bindgen") == Some(&code_hash) && bound.is_dir() {
        eprintln!("== the pages: JavaScript for the WASM: unchanged");
    } else {
        timed("the pages: JavaScript for the WASM", || {
            bind(code, &bound, wasm)
        })?;
        stamps.insert("bindgen".to_owned(), code_hash);
        write_stamps(&stamp_file, &stamps)?;
    }

    timed("the pages: files", || {
        let assets = assets(workspace, &bound)?;
        lay_out(&site, &assets, compression, &mut stamps)?;
        write_stamps(&stamp_file, &stamps)?;
        report(&site, &assets)
    })
}

/// Runs cargo; returns the compiled module.
fn compile(workspace: &Workspace, wasm: Wasm) -> Result<PathBuf> {
    let (profile, profile_folder) = match wasm {
        Wasm::Small => ("wasm-release", "wasm-release"),
        Wasm::Quick => ("dev", "debug"),
    };
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "switchback-frontend", "--lib"]);
    cargo.args(["--target", "wasm32-unknown-unknown", "--profile", profile]);
    run(&mut cargo)?;
    Ok(workspace
        .target
        .join("wasm32-unknown-unknown")
        .join(profile_folder)
        .join("switchback_frontend.wasm"))
}

/// Makes what a browser can load of a compiled module.
fn bind(code: Vec<u8>, folder: &Path, wasm: Wasm) -> Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("could not empty {}", folder.display()))?;
    }
    let mut bindgen = Bindgen::new();
    bindgen.web(true)?;
    bindgen
        .input_bytes(OUTPUT_NAME, code)
        .out_name(OUTPUT_NAME)
        .typescript(false)
        .remove_name_section(wasm == Wasm::Small)
        .remove_producers_section(true);
    bindgen
        .generate(folder)
        .context("wasm-bindgen refused the module")
}

/// The locked version, because the JavaScript depends on it as much as on the module.
fn wasm_bindgen_version(workspace: &Workspace) -> Result<String> {
    let lock_file = workspace.root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock_file)
        .with_context(|| format!("could not read {}", lock_file.display()))?;
    let mut lines = lock.lines();
    lines
        .by_ref()
        .find(|line| *line == "name = \"wasm-bindgen-cli-support\"")
        .and_then(|_| lines.next())
        .map(str::to_owned)
        .context("Cargo.lock does not name wasm-bindgen-cli-support")
}

/// Everything the site must hold, by its path in the site.
fn assets(workspace: &Workspace, bound: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut assets = BTreeMap::new();
    for (source, prefix) in [
        (bound.to_path_buf(), "pkg/"),
        (workspace.root.join("public"), ""),
    ] {
        for file in files_below(&source)? {
            let name = format!("{prefix}{}", relative(&source, &file));
            let bytes =
                fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
            assets.insert(name, bytes);
        }
    }
    assets.insert(
        format!("pkg/{OUTPUT_NAME}.css"),
        style(&workspace.root.join("style"))?,
    );
    Ok(assets)
}

/// The style sheets one after the other in the order of their file names, which therefore begin
/// with a number: the order decides between rules of equal weight.
fn style(folder: &Path) -> Result<Vec<u8>> {
    let mut sheet = Vec::new();
    for file in files_below(folder)? {
        if file.extension().is_some_and(|extension| extension == "css") {
            sheet.extend(
                fs::read(&file).with_context(|| format!("could not read {}", file.display()))?,
            );
            sheet.push(b'\n');
        }
    }
    if sheet.is_empty() {
        bail!("{} holds no style sheet", folder.display());
    }
    Ok(sheet)
}

/// Makes the folder equal to the assets and their compressed twins: writes what differs, removes
/// what is no longer there.
fn lay_out(
    site: &Path,
    assets: &BTreeMap<String, Vec<u8>>,
    compression: Compression,
    stamps: &mut Stamps,
) -> Result<()> {
    let mut wanted = BTreeMap::new();
    for (name, bytes) in assets {
        let file = site.join(name);
        write_if_changed(&file, bytes)?;
        wanted.insert(file.clone(), ());

        let extension = file
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_string();
        if bytes.len() < COMPRESS_FROM_BYTES || !COMPRESSIBLE.contains(&extension.as_str()) {
            continue;
        }
        let twin = site.join(format!("{name}.br"));
        let stamp_name = format!("{name}.br");
        let stamp = hash(&[&compression.quality().to_le_bytes(), bytes]);
        if stamps.get(&stamp_name) != Some(&stamp) || !twin.is_file() {
            write_if_changed(&twin, &compress(bytes, compression.quality())?)?;
            stamps.insert(stamp_name, stamp);
        }
        wanted.insert(twin, ());
    }
    for file in files_below(site)? {
        if !wanted.contains_key(&file) {
            fs::remove_file(&file)
                .with_context(|| format!("could not remove {}", file.display()))?;
        }
    }
    Ok(())
}

/// Brotli at the given quality.
pub fn compress(bytes: &[u8], quality: i32) -> Result<Vec<u8>> {
    let parameters = BrotliEncoderParams {
        quality,
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let mut compressed = Vec::with_capacity(bytes.len() / 3);
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &parameters)
        .context("Brotli failed")?;
    Ok(compressed)
}

fn write_if_changed(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
    }
    fs::write(file, bytes).with_context(|| format!("could not write {}", file.display()))
}

/// Prints the sizes of all files; returns those of the WASM and JavaScript.
fn report(site: &Path, assets: &BTreeMap<String, Vec<u8>>) -> Result<BrowserCode> {
    let mut code = BrowserCode {
        raw: 0,
        compressed: 0,
    };
    eprintln!("  {:>9}  {:>9}  file", "bytes", "as .br");
    for (name, bytes) in assets {
        let twin = site.join(format!("{name}.br"));
        let compressed = match fs::metadata(&twin) {
            Ok(metadata) => Some(usize::try_from(metadata.len())?),
            Err(_) => None,
        };
        let shown = compressed.map_or_else(|| "-".to_owned(), |size| size.to_string());
        eprintln!("  {:>9}  {shown:>9}  {name}", bytes.len());
        if name.ends_with(".wasm") || name.ends_with(".js") {
            code.raw += bytes.len();
            code.compressed += compressed.unwrap_or(bytes.len());
        }
    }
    eprintln!(
        "  {:>9}  {:>9}  WASM and JavaScript together",
        code.raw, code.compressed
    );
    Ok(code)
}

/// The SHA-256 of the parts, each preceded by its length, in hexadecimal.
pub fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    format!("{:x}", hasher.finalize())
}

fn read_stamps(file: &Path) -> Result<Stamps> {
    match fs::read(file) {
        // A stamp file cut short by a crash means only that everything is made again.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Stamps::new()),
        Err(error) => Err(error).with_context(|| format!("could not read {}", file.display())),
    }
}

fn write_stamps(file: &Path, stamps: &Stamps) -> Result<()> {
    write_if_changed(file, &serde_json::to_vec_pretty(stamps)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_reads_back_as_it_was() -> Result<()> {
        let bytes = b"the train reverses ".repeat(200);
        for quality in [5, 11] {
            let compressed = compress(&bytes, quality)?;
            assert!(compressed.len() < bytes.len() / 10);
            let mut back = Vec::new();
            brotli::Decompressor::new(compressed.as_slice(), 4096).read_to_end(&mut back)?;
            assert_eq!(back, bytes);
        }
        Ok(())
    }

    #[test]
    fn parts_of_a_hash_do_not_run_into_each_other() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }

    #[test]
    fn the_site_holds_exactly_what_is_wanted() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("switchback-site-{}", std::process::id()));
        let mut assets = BTreeMap::from([
            ("pkg/switchback.js".to_owned(), b"let x = 1; ".repeat(500)),
            ("small.txt".to_owned(), b"small".to_vec()),
        ]);
        let mut stamps = Stamps::new();
        lay_out(&folder, &assets, Compression::Quick, &mut stamps)?;
        let names = |folder: &Path| -> Result<Vec<String>> {
            Ok(files_below(folder)?
                .iter()
                .map(|file| relative(folder, file))
                .collect())
        };
        assert_eq!(
            names(&folder)?,
            ["pkg/switchback.js", "pkg/switchback.js.br", "small.txt"]
        );

        assets.remove("small.txt");
        assets.insert("pkg/switchback.js".to_owned(), b"let y = 2; ".repeat(500));
        lay_out(&folder, &assets, Compression::Quick, &mut stamps)?;
        assert_eq!(
            names(&folder)?,
            ["pkg/switchback.js", "pkg/switchback.js.br"]
        );
        let mut back = Vec::new();
        let twin = fs::read(folder.join("pkg/switchback.js.br"))?;
        brotli::Decompressor::new(twin.as_slice(), 4096).read_to_end(&mut back)?;
        assert_eq!(Some(&back), assets.get("pkg/switchback.js"));
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
