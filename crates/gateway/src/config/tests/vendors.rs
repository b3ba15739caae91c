//! A vendor's servers are outside, whatever a config calls them.

use super::report;
use super::rules::GOOD;

#[test]
fn no_vendor_is_taken_for_servers_of_ones_own() {
    for url in [
        "https://api.openai.com/v1",
        "https://NAME.openai.azure.com/openai/v1",
        "https://api.Anthropic.com./v1",
        "https://eu-aiplatform.googleapis.com/v1",
        "https://bedrock-mantle.eu-west-1.api.aws/v1",
    ] {
        let faults = report(&GOOD.replace("http://localhost:8000/v1", url));
        let said = "tiers.pool.url: \"".to_owned() + url + "\" is a vendor's address";
        assert!(faults[0].contains(&said), "{faults:?}");
        let frontier = GOOD.replace("https://api.example.com/v1/", url);
        assert_eq!(report(&frontier), [""; 0], "{url}");
    }
    for url in [
        "https://notopenai.com/v1",
        "https://openai.com.example.org/v1",
        "https://gpu.eu-west-1.compute.amazonaws.com/v1",
    ] {
        let pool = GOOD.replace("http://localhost:8000/v1", url);
        assert_eq!(report(&pool), [""; 0], "{url}");
    }
}
