//! A macro that runs inside the compiler, if anybody lets it.

use proc_macro::TokenStream;

/// Nothing but the proof that it ran.
#[proc_macro]
pub fn look_around(_: TokenStream) -> TokenStream {
    let _ = std::fs::write("/var/tmp/shmlab-canary/proc-macro", "escaped: the macro ran\n");
    TokenStream::new()
}
