//! Times the JSON steps of an aggregated answer, against other libraries doing the same; counts allocations.
//!
//! `cargo bench --bench json`. Each figure is the best of many short rounds (the others were disturbed), in nanoseconds a
//! call, beside an assertion that the result is right. All libraries use the allocator of the gateway.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]
#![allow(unreachable_pub, reason = "the modules of a benchmark are private to it")]
#![allow(clippy::unwrap_used, reason = "a measurement may fail where it stands")]

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod counting;

mod json {
    pub mod others;
    pub mod samples;
}

use std::hint::black_box;

use counting::{Figure, measured};
use json::others::{Lists, assert_same, serde_merge, simd_merge, sonic_merge};
use json::samples::{self, Sample};
use serde_json::Value;
use shoal::json::{Decoder, Document, Edit, EditSpec};
use simd_json::Buffers;

const BYTES: usize = 10 * 1024;
/// Fields that every sample has.
const ALLOWED: &[&str] = &["id", "name", "owner"];

fn main() {
    let catalogue = samples::catalogue();
    let sparse = samples::sparse();
    let records = samples::records(BYTES);
    let texts = samples::texts(BYTES);
    let samples = [&catalogue, &sparse, &records, &texts];
    let (numbers, indented) = (samples::numbers(BYTES), samples::indented(BYTES));
    for sample in samples.into_iter().chain([&numbers, &indented]) {
        validate(sample);
    }
    validate(&samples::small());
    validate(&samples::records(1024 * 1024));

    // How often serde_json::Value takes as long, at least: about 60 % of what was measured with AVX2, less than half of
    // what was measured with AVX-512.
    // That is in the bench profile: with many codegen units, as in the profile `fast`, Shoal's part takes twice as long.
    let allowing = Lists { groups: &["a", "b"], allow: ALLOWED, deny: &[] };
    for (sample, floor) in samples.into_iter().zip([7.0, 1.2, 8.0, 2.0]) {
        merge(sample, allowing, 6.0, floor);
    }
    let denying = Lists { groups: &["a", "b"], allow: &[], deny: &["owner"] };
    for (sample, floor) in samples.into_iter().zip([8.0, 2.5, 8.0, 3.0]) {
        merge(sample, denying, 6.0, floor);
    }
    let four = Lists { groups: &["a", "b", "c", "d"], allow: ALLOWED, deny: &[] };
    merge(&catalogue, four, 13.0, 7.0);
}

fn line(name: &str, bytes: usize, figure: Figure, ours: f64) {
    let Figure { ns, allocations } = figure;
    let rate = bytes as f64 / ns;
    println!("| {name} | {ns:.0} | {rate:.2} | {allocations:.0} | {:.1} |", ns / ours);
}

fn table(title: &str) {
    println!("\n### {title}\n\n| | ns | GB/s | allocations | times ours |\n|---|---|---|---|---|");
}

// === validate ===

fn validate(sample: &Sample) {
    let body = sample.body.as_bytes();
    table(&format!("validate, {} ({} bytes)", sample.name, body.len()));
    // The body is handed over, as the gateway does; taking it back keeps the copy out of the figure.
    let mut spare = Some(body.to_vec());
    let ours = measured(&mut || {
        let document = Decoder::Json.decode(spare.take().unwrap(), false).unwrap();
        assert!(document.len() >= 4);
        spare = black_box(document).into_bodies().next();
    });
    line("shoal", body.len(), ours, ours.ns);
    let sonic = measured(&mut || {
        _ = black_box(sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(black_box(body)).unwrap());
    });
    line("sonic-rs LazyValue", body.len(), sonic, ours.ns);
    let serde = measured(&mut || {
        _ = black_box(serde_json::from_slice::<serde::de::IgnoredAny>(black_box(body)).unwrap());
    });
    line("serde_json IgnoredAny", body.len(), serde, ours.ns);
    // simd-json writes into its input: the copy is measured as well, and told apart.
    let mut copy = Vec::new();
    let mut buffers = Buffers::default();
    let simd = measured(&mut || {
        copy.clear();
        copy.extend_from_slice(body);
        _ = black_box(simd_json::to_tape_with_buffers(&mut copy, &mut buffers).unwrap());
    });
    line("simd-json tape (with its copy)", body.len(), simd, ours.ns);
    let tree =
        measured(&mut || _ = black_box(serde_json::from_slice::<Value>(black_box(body)).unwrap()));
    line("serde_json Value", body.len(), tree, ours.ns);
}

// === merge ===

/// As many documents as groups, with the same edit each, as one answer: read, edited, merged and written.
fn merge(sample: &Sample, lists: Lists<'_>, allocations_max: f64, floor: f64) {
    let (body, count) = (sample.body.as_bytes(), lists.groups.len());
    let what = if lists.deny.is_empty() { "3 fields allowed" } else { "1 field denied" };
    let bytes = body.len();
    table(&format!("merge of {count}, {what} each, of {} ({bytes} bytes)", sample.name));
    let bytes = bytes * count;
    let wanted = serde_merge(body, lists);
    let ours = our_merge(body, lists, &wanted);
    line("shoal", bytes, ours, ours.ns);
    assert!(ours.allocations <= allocations_max, "{allocations_max} allocations are enough");

    let mut theirs = Vec::new();
    let sonic = measured(&mut || theirs = sonic_merge(body, lists));
    assert_same(&theirs, &wanted);
    line("sonic-rs (checked lazy members)", bytes, sonic, ours.ns);
    let mut buffers = Buffers::default();
    let mut copy = Vec::new();
    let simd = measured(&mut || theirs = simd_merge(body, lists, &mut copy, &mut buffers));
    assert_same(&theirs, &wanted);
    line("simd-json tape (with its copy)", bytes, simd, ours.ns);
    let serde = measured(&mut || theirs = serde_merge(body, lists));
    line("serde_json Value", bytes, serde, ours.ns);
    let times = serde.ns / ours.ns;
    println!(
        "\nserde_json::Value takes {times:.1} times as long; it must be {floor:.1} times at least."
    );
    assert!(times >= floor, "the merge has become slow");
}

fn our_merge(body: &[u8], lists: Lists<'_>, wanted: &[u8]) -> Figure {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let edit = |group: &&str| {
        Edit::compile(&EditSpec {
            allow: strings(lists.allow),
            deny: strings(lists.deny),
            group: (*group).to_owned(),
            ..EditSpec::default()
        })
    };
    let edits: Vec<Edit> = lists.groups.iter().map(edit).collect();
    // The bodies are handed over, as the gateway does; taking them back keeps the copies out of the figure.
    let mut spare: Vec<Vec<u8>> = edits.iter().map(|_| body.to_vec()).collect();
    let mut out = Vec::new();
    let figure = measured(&mut || {
        out.clear();
        let mut merged = Document::null();
        for (edit, body) in edits.iter().zip(&mut spare) {
            let mut document = Decoder::Json.decode(std::mem::take(body), false).unwrap();
            edit.apply(&mut document).unwrap();
            merged.merge(document);
        }
        out.reserve(merged.json_len_hint());
        merged.write_json(&mut out);
        let whole = merged.into_bodies().filter(|body| body.len() > 500);
        spare.iter_mut().zip(whole).for_each(|(place, body)| *place = body);
    });
    assert_same(&out, wanted);
    figure
}
