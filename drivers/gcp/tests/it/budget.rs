//! How many calls a cluster of 3+2 in one zone takes.

use crate::bench::Bench;

/// The calls that count: neither looks at operations nor what was tried again.
fn counted(bench: &Bench) -> Vec<String> {
    let requests = bench.fake.requests();
    let counted = requests.iter().filter(|request| request["status"] == 200);
    let kinds = counted.map(|request| request["kind"].as_str().unwrap().to_owned());
    kinds.filter(|kind| !kind.ends_with("Operations.wait")).collect()
}

#[tokio::test]
async fn creating_takes_at_most_twelve_calls_and_destroying_fourteen() {
    let bench = Bench::new().await;
    let (driver, request) = (bench.open(), bench.request("lab"));

    driver.preflight(&request).await.unwrap();
    bench.create(&*driver, &request).await.unwrap();
    let create = counted(&bench);
    bench.judge().await;
    bench.fake.forget_requests();
    // Another process destroys.
    let left = bench.destroy(&*bench.open(), &request).await.unwrap();
    let destroy = counted(&bench);
    bench.judge().await;

    assert_eq!(left, []);
    let looks = create.iter().filter(|kind| *kind == "instances.aggregatedList").count();
    // The first look is a find; those for addresses are polls.
    assert!(create.len() - (looks - 1) <= 12, "{} calls: {create:?}", create.len());
    assert_eq!(create.iter().filter(|kind| *kind == "instances.bulkInsert").count(), 2);
    assert!(destroy.len() <= 14, "{} calls: {destroy:?}", destroy.len());
}
