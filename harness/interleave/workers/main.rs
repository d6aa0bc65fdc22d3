//! Small programs to be explored, each right or wrong in one way: `interleave-workers NAME WHAT …`
//! opens the segment `/dev/shm/NAME` and does WHAT.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod awkward;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod layout;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod locks;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod messages;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (name, what) = (words[0], &words[1..]);
    match what[0] {
        "counter" | "increment" | "spinlock" | "test-then-set" | "peterson" | "semaphores"
        | "robust" => locks::run(name, what),
        "ring" | "publish" | "torn" | "wake" | "echo" | "create" | "open" | "sleep-and-hope" => {
            messages::run(name, what);
        }
        _ => awkward::run(name, what),
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {}
