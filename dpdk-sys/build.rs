//! Finds the installed DPDK, compiles the shim and generates the bindings.
//!
//! Linking is dynamic. EAL opens the drivers of its own PMD folder at start, so only the libraries that weir calls are
//! named here.

use std::env;
use std::panic;
use std::path::PathBuf;
use std::process::{Command, exit};

/// The oldest DPDK that weir is built with.
const OLDEST: &str = "22.11";

/// Releases whose presence is announced as `cfg(dpdk_ge_YYMM)`.
const RELEASES: [(u32, u32); 10] =
    [(22, 11), (23, 3), (23, 7), (23, 11), (24, 3), (24, 7), (24, 11), (25, 3), (25, 7), (25, 11)];

/// The libraries weir calls.
const LIBRARIES: [&str; 11] = [
    "rte_vhost",
    "rte_pdump",
    "rte_ethdev",
    "rte_net",
    "rte_mbuf",
    "rte_mempool",
    "rte_ring",
    "rte_kvargs",
    "rte_telemetry",
    "rte_log",
    "rte_eal",
];

fn main() {
    for file in ["build.rs", "allowlist.txt", "wrapper.h", "shim.h", "shim.c"] {
        println!("cargo::rerun-if-changed={file}");
    }
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");

    let library = pkg_config::Config::new()
        .atleast_version(OLDEST)
        .cargo_metadata(false)
        .probe("libdpdk")
        .unwrap_or_else(|error| fail(&explain(&error)));
    announce(&library.version);

    for path in &library.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for name in LIBRARIES.iter().filter(|name| library.libs.iter().any(|lib| lib == *name)) {
        println!("cargo::rustc-link-lib=dylib={name}");
    }

    let cflags = cflags();
    compile_shim(&cflags);
    generate(&cflags);
}

/// One line that names the missing package, for each way in which pkg-config can fail.
fn explain(error: &pkg_config::Error) -> String {
    match error {
        pkg_config::Error::Command { .. } => {
            "pkg-config was not found: install it (Debian: apt install pkg-config)".into()
        }
        pkg_config::Error::ProbeFailure { output, .. }
            if String::from_utf8_lossy(&output.stderr).contains("Requested") =>
        {
            format!(
                "the installed DPDK is too old: weir needs {OLDEST} or later (Debian 12 and later: apt install libdpdk-dev)"
            )
        }
        _ => format!(
            "DPDK was not found by pkg-config: install its headers, {OLDEST} or later (Debian: apt install libdpdk-dev), \
             or name the folder of libdpdk.pc in PKG_CONFIG_PATH"
        ),
    }
}

fn announce(version: &str) {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    for (year, month) in RELEASES {
        let name = format!("dpdk_ge_{year:02}{month:02}");
        println!("cargo::rustc-check-cfg=cfg({name})");
        if found >= (year, month) {
            println!("cargo::rustc-cfg={name}");
            println!("cargo::metadata={name}=1");
        }
    }
    println!("cargo::metadata=version={version}");
    println!("cargo::rustc-env=WEIR_DPDK_VERSION={version}");
}

/// The compiler flags of DPDK's headers. The `pkg-config` crate knows include paths and defines only, but the headers
/// also need `-include rte_config.h` and the `-march` that DPDK was built for.
fn cflags() -> Vec<String> {
    let pkg_config = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    match Command::new(pkg_config).args(["--cflags", "libdpdk"]).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
        }
        Ok(output) => fail(&format!("pkg-config --cflags libdpdk: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => fail(&format!("pkg-config could not be run: {error} (Debian: apt install pkg-config)")),
    }
}

fn compile_shim(cflags: &[String]) {
    let mut build = cc::Build::new();
    build.file("shim.c").opt_level(2).warnings(true).flag_if_supported("-Wno-deprecated-declarations");
    for flag in cflags {
        build.flag(flag);
    }
    if let Err(error) = build.try_compile("weir_shim") {
        fail(&format!("the shim for DPDK's inline functions could not be compiled: {error} (Debian: apt install gcc)"));
    }
}

fn generate(cflags: &[String]) {
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(cflags)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .use_core()
        .layout_tests(true)
        .derive_debug(false)
        .derive_copy(true)
        .generate_comments(false)
        .prepend_enum_name(false)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .allowlist_function("weir_.*")
        .allowlist_var("WEIR_.*")
        .allowlist_var("rte_eth_fp_ops")
        // Reached by pointer only; what weir reads of an mbuf it reads at the offsets in shim.h.
        .blocklist_type("rte_mbuf")
        .blocklist_type("rte_mempool")
        .blocklist_type("rte_ring")
        .opaque_type("rte_device")
        .opaque_type("rte_thread_attr_t")
        .opaque_type("vhost_virtqueue");
    for name in include_str!("allowlist.txt").lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        builder = builder.allowlist_function(name).allowlist_type(name).allowlist_var(name);
    }

    // bindgen panics when libclang is missing; the message is ours, so the hook is silenced meanwhile.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let generated = panic::catch_unwind(panic::AssertUnwindSafe(|| builder.generate()));
    panic::set_hook(hook);
    let bindings = match generated {
        Ok(Ok(bindings)) => bindings,
        Ok(Err(error)) => {
            fail(&format!("DPDK's headers could not be read: {error} (Debian: apt install libdpdk-dev libclang-dev)"))
        }
        Err(_) => fail(
            "libclang was not found; the bindings are generated with it: install it (Debian: apt install libclang-dev), \
             or name its folder in LIBCLANG_PATH",
        ),
    };
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = bindings.write_to_file(folder.join("bindings.rs")) {
        fail(&format!("the bindings could not be written: {error}"));
    }
}

/// Ends the build with one message.
fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
