#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use clap::CommandFactory;

use super::*;

fn cli(arguments: &[&str]) -> Cli {
    Cli::try_parse_from(std::iter::once("load").chain(arguments.iter().copied())).unwrap()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
    let cli = cli(&["read", "--workers", "1,8,64", "--header", "X-Org: A1"]);
    assert_eq!(cli.options.workers, [1, 8, 64]);
    assert_eq!(cli.options.headers[0].1, "A1");
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_before_anything_is_sent() {
    for (arguments, reason) in [
        (&["crud", "--base", "http://192.0.2.1/"][..], "--allow-remote"),
        (&["crud", "--workers", "0"][..], "--workers"),
        (&["crud", "--rate", "0"][..], "--rate"),
        (&["crud", "--seconds", "1e9"][..], "--seconds"),
        (&["crud", "--compare", "elsewhere"][..], "not a URL"),
    ] {
        let problem = run(&cli(arguments)).await.unwrap_err();
        assert!(problem.contains(reason), "{problem}");
    }
}

#[tokio::test]
async fn two_servers_are_measured_in_one_run_and_failures_are_counted() {
    let good = stub::serve(200, r#"{"resourceType":"Bundle","type":"searchset"}"#).await;
    let bad = stub::serve(503, "{}").await;
    let common = ["federated", "--query", "/Patient?_count=1", "--workers", "1,2", "--json"];
    let quick = ["--seconds", "0.01", "--warm-up-seconds", "0", "--rounds", "2"];
    let alone = [&common[..], &quick, &["--base", good.base()]].concat();
    assert_eq!(run(&cli(&alone)).await.unwrap(), 0);
    let both = [&alone[..], &["--compare", bad.base()]].concat();
    assert!(run(&cli(&both)).await.unwrap() > 0);
}
