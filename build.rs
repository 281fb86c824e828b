//! Compiles the Lua library that scripts run in, with the numbers of `src/features/modifier/lua/numbers.h`.
#![allow(unsafe_code, reason = "one call that sets a variable for the C compiler, with its proof")]

use std::env;

const NUMBERS: &str = "src/features/modifier/lua/numbers.h";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={NUMBERS}");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let flags = env::var("CFLAGS").unwrap_or_default();
    // SAFETY: a build script of one thread, and nothing has read the environment yet.
    unsafe { env::set_var("CFLAGS", format!("{flags} -include {root}/{NUMBERS}")) };
    lua_src::Build::new().build(lua_src::Lua51).print_cargo_metadata();
}
