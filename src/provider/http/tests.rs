use std::time::{Duration, Instant};

use super::super::stub::{Asked, Reply, Stub};
use super::*;

/// A vendor whose refusals are plain text, and whose word `busy` means that it will pass.
struct Plain;

impl Dialect for Plain {
    fn authorize(&self, _: &Call, _: &str) -> Result<Vec<(&'static str, String)>, ProviderError> {
        Ok(vec![("authorization", "Bearer canary".to_owned())])
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        Refusal::new(answer.status, &String::from_utf8_lossy(&answer.body))
    }

    fn is_passing(&self, _: &Call, refusal: &Refusal) -> bool {
        refusal.message == "busy"
    }
}

fn access() -> Access {
    let pace = Pace {
        request_timeout: Duration::from_millis(400),
        ..Pace::quick()
    };
    Access {
        pace,
        ..Access::default()
    }
}

fn http(stub: &Stub) -> Http {
    Http::new(ProviderName::Vultr, stub.url(), &access()).unwrap()
}

/// Answers with each of `replies` in turn, and with the last one for ever.
fn in_turn(replies: Vec<Reply>) -> Stub {
    let last = replies.len() - 1;
    Stub::start(move |number, _: &Asked| replies[number.min(last)].clone())
}

fn calls() -> [Call; 3] {
    let body = serde_json::json!({"a": 1});
    [
        Call::get("/x"),
        Call::delete("/x"),
        Call::create("/x", &body),
    ]
}

#[test]
fn what_did_nothing_is_sent_again_whatever_it_is() {
    for first in [
        Reply::json(429, "slow"),
        Reply::json(400, "busy"),
        Reply::json(503, "busy"),
    ] {
        for call in calls() {
            let stub = in_turn(vec![first.clone(), Reply::json(200, "{}")]);
            http(&stub).send(&Plain, &call).unwrap();
            assert_eq!(stub.asked().len(), 2, "{first:?} {call:?}");
            assert_eq!(stub.asked()[0], stub.asked()[1]);
        }
    }
}

#[test]
fn what_may_have_been_heard_is_sent_again_unless_it_creates() {
    let late = Reply::Late(Duration::from_secs(2), Box::new(Reply::json(200, "{}")));
    for first in [
        Reply::json(500, "oops"),
        Reply::json(504, ""),
        Reply::Hangup,
        late,
    ] {
        for call in calls() {
            let stub = in_turn(vec![first.clone(), Reply::json(200, "{}")]);
            let result = http(&stub).send(&Plain, &call);
            if call.care == Care::Create {
                assert!(
                    matches!(result, Err(ProviderError::Lost { .. })),
                    "{result:?}"
                );
                assert_eq!(stub.asked().len(), 1);
            } else {
                result.unwrap();
                assert_eq!(stub.asked().len(), 2, "{first:?}");
            }
        }
    }
}

#[test]
fn a_create_call_that_the_vendor_knows_again_is_sent_until_an_answer_comes() {
    let stub = in_turn(vec![
        Reply::Hangup,
        Reply::json(500, ""),
        Reply::json(200, "{}"),
    ]);
    let call = Call {
        care: Care::CreateOnce,
        ..calls()[2].clone()
    };
    http(&stub).send(&Plain, &call).unwrap();
    assert_eq!(stub.asked().len(), 3);
    let stub = in_turn(vec![Reply::Hangup]);
    let result = http(&stub).send(&Plain, &call);
    assert!(
        matches!(result, Err(ProviderError::Lost { .. })),
        "{result:?}"
    );
}

#[test]
fn nothing_is_sent_more_than_five_times() {
    for call in calls() {
        let stub = in_turn(vec![Reply::json(429, "slow down\u{1b}[2J")]);
        let error = http(&stub).send(&Plain, &call).unwrap_err();
        assert_eq!(stub.asked().len(), 5);
        let text = error.to_string();
        assert_eq!(
            text,
            "Vultr has no time for it: slow down\\u{1b}[2J (status 429)"
        );
    }
}

#[test]
fn a_refusal_is_told_once_in_the_vendors_words() {
    for call in calls() {
        let stub = in_turn(vec![Reply::json(401, "Invalid API token.")]);
        let error = http(&stub).send(&Plain, &call).unwrap_err();
        assert_eq!(stub.asked().len(), 1);
        let text = error.to_string();
        assert_eq!(
            text,
            "Vultr does not accept the credentials: Invalid API token. (status 401)"
        );
    }
}

#[test]
fn what_is_not_there_is_deleted() {
    let stub = in_turn(vec![Reply::json(404, "no such server")]);
    http(&stub).send(&Plain, &calls()[1]).unwrap();
    assert!(
        http(&stub)
            .send(&Plain, &calls()[0])
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn the_wait_is_what_the_vendor_asks_for() {
    let stub = in_turn(vec![
        Reply::json(429, "").with("retry-after", 1),
        Reply::json(200, "{}"),
    ]);
    let started_at = Instant::now();
    http(&stub).send(&Plain, &calls()[0]).unwrap();
    assert!(started_at.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_stop_ends_the_wait() {
    let stub = in_turn(vec![Reply::json(429, "").with("retry-after", 60)]);
    let access = access();
    let http = Http::new(ProviderName::Vultr, stub.url(), &access).unwrap();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| http.send(&Plain, &calls()[0]));
        access.stop.stop();
        assert_eq!(sent.join().unwrap().unwrap_err(), ProviderError::Stopped);
    });
}

#[test]
fn nobody_there_is_told_as_such() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let http = Http::new(ProviderName::Vultr, &url, &access()).unwrap();
    for call in calls() {
        let error = http.send(&Plain, &call).unwrap_err();
        assert!(
            matches!(error, ProviderError::Unreachable { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn credentials_follow_no_redirect_and_are_in_no_error() {
    let other = in_turn(vec![Reply::json(200, "{}")]);
    let place = format!("{}/elsewhere", other.url());
    let stub = in_turn(vec![Reply::json(302, "").with("location", &place)]);
    for call in calls() {
        let error = http(&stub).send(&Plain, &call).unwrap_err();
        assert!(
            error.to_string().contains("hoist follows no redirects"),
            "{error}"
        );
        assert!(!format!("{error:?} {error}").contains("canary"));
    }
    assert!(other.asked().is_empty());
    assert_eq!(
        stub.asked()[0].header("authorization"),
        Some("Bearer canary")
    );
}

#[test]
fn credentials_go_over_https_or_to_this_machine() {
    for base in [
        "https://api.example.org/v2/",
        "http://127.0.0.1:1/x",
        "http://localhost:1",
        "http://[::1]:1",
    ] {
        Http::new(ProviderName::Vultr, base, &access()).unwrap();
    }
    for base in [
        "http://api.example.org",
        "ftp://127.0.0.1",
        "",
        "api.example.org",
        "https://",
        "https://u:p@example.org",
        "http://127.0.0.1.example.org",
    ] {
        let error = Http::new(ProviderName::Vultr, base, &access()).err();
        assert!(error.is_some(), "{base}");
    }
}

#[test]
fn an_answer_that_is_no_json_is_an_error_and_to_a_create_call_a_lost_one() {
    let stub = in_turn(vec![Reply::json(200, "<html>")]);
    let http = http(&stub);
    let error = http.json(&Plain, &calls()[0]).unwrap_err();
    insta::assert_snapshot!(error, @"cannot understand what Vultr answered to GET /x: it is no JSON: expected value at line 1 column 1");
    let error = http.json(&Plain, &calls()[2]).unwrap_err();
    assert!(matches!(error, ProviderError::Lost { .. }), "{error:?}");
}

#[test]
fn everything_but_the_unreserved_is_encoded() {
    assert_eq!(encoded("hoist:web a/b~é"), "hoist%3Aweb%20a%2Fb~%C3%A9");
}
