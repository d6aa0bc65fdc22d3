//! A program that cargo finds by its place.

fn main() {
    println!("{}", include_str!("../../../../solutions/race-condition/src/counter.rs"));
}
