//! What each format looks like.

use insta::assert_snapshot;

use super::Told::{Error, Finished, Output};
use super::*;

/// What happens in a run.
type Story = fn() -> Vec<Told>;

const RUNS: [(&str, Story); 6] = [
    ("all ok", all_ok),
    ("one fails", one_fails),
    ("unreached", unreached_hosts),
    ("many lines", many_lines),
    ("wide characters", wide),
    ("binary", binary),
];

fn all_ok() -> Vec<Told> {
    let says = |host| {
        [
            Output(host, b"up 3 days\n".to_vec()),
            Finished(host, exit(0)),
        ]
    };
    (0..HOSTS.len()).flat_map(says).collect()
}

fn one_fails() -> Vec<Told> {
    vec![
        Output(3, b"ok\n".to_vec()),
        Finished(3, exit(0)),
        Output(0, b"ok\n".to_vec()),
        Output(1, b"half".to_vec()),
        Error(1, b"nginx: no such".to_vec()),
        Finished(0, exit(0)),
        Error(1, b" file\n".to_vec()),
        Finished(1, exit(3)),
        Output(2, b"ok\n".to_vec()),
        Finished(2, exit(0)),
    ]
}

fn unreached_hosts() -> Vec<Told> {
    let refused = |address| {
        let message = format!("{address} port 22 refused the connection");
        unreached(Kind::Refused, &message)
    };
    vec![
        Output(0, b"ok\n".to_vec()),
        Finished(0, exit(0)),
        Finished(1, refused("192.0.2.8")),
        Finished(2, refused("192.0.2.9")),
        Finished(3, unreached(Kind::NotStarted, "")),
    ]
}

/// Adds the end of every host, all of them ok.
fn then_all_end(mut told: Vec<Told>) -> Vec<Told> {
    told.extend((0..HOSTS.len()).map(|host| Finished(host, exit(0))));
    told
}

fn many_lines() -> Vec<Told> {
    let lines: Vec<String> = (1..=12).map(|n| format!("line {n}")).collect();
    let long = format!("{}\nlast", "a word and ".repeat(30));
    then_all_end(vec![
        Output(0, (lines.join("\n") + "\n").into_bytes()),
        Output(1, b"\tone\r\n  two\r\n\n".to_vec()),
        Output(2, long.into_bytes()),
    ])
}

fn wide() -> Vec<Told> {
    then_all_end(vec![
        Output(0, "größe 日本語 😀\n".into()),
        Output(1, "日本語".repeat(20).into()),
    ])
}

fn binary() -> Vec<Told> {
    then_all_end(vec![
        Output(0, b"\x1b[31mred\x1b[0m \xff\0\n".to_vec()),
        Output(1, b"a \"quoted\", word\n".to_vec()),
    ])
}

/// Shows each run under its title.
fn shown(options: &Options) -> String {
    let texts = RUNS.map(|(title, told)| {
        let shown = run(options, &told());
        let err = String::from_utf8_lossy(&shown.err);
        let title_err = if err.is_empty() { "" } else { "-- stderr --\n" };
        format!("== {title} ==\n{}{title_err}{err}", shown.text())
    });
    texts.concat()
}

fn on_terminal(format: Format, width: u16) -> Options {
    Options {
        width: Some(width),
        is_terminal: true,
        is_err_terminal: true,
        ..Options::new(format)
    }
}

#[test]
fn tables_fit_the_terminal() {
    assert_snapshot!(shown(&on_terminal(Format::Table, 80)), @r#"
    == all ok ==
    HOST  STATUS  TIME  OUTPUT
    web1  ok      1.2s  up 3 days
    web2  ok      1.2s  up 3 days
    web3  ok      1.2s  up 3 days
    db1   ok      1.2s  up 3 days
    == one fails ==
    HOST  STATUS  TIME  OUTPUT
    web1  ok      1.2s  ok
    web2  exit 3  1.2s  nginx: no such file
    web3  ok      1.2s  ok
    db1   ok      1.2s  ok
    == unreached ==
    HOST  STATUS       TIME  OUTPUT
    web1  ok           1.2s  ok
    web2  refused      1.2s  192.0.2.8 port 22 refused the connection
    web3  refused      1.2s  192.0.2.9 port 22 refused the connection
    db1   not-started  -
    == many lines ==
    HOST  STATUS  TIME  OUTPUT
    web1  ok      1.2s  line 1
                        line 2
                        line 3
                        line 4
                        … 3 more lines …
                        line 8
                        line 9
                        line 10
                        line 11
                        line 12
    web2  ok      1.2s          one
                          two
    web3  ok      1.2s  a word and a word and a word and a word and a word and a
                        word and a word and a word and a word and a word and a word
                        and a word and a word and a word and a word and a word and a
                        word and a word and a word and a word and a word and a word
                        a…
                        last
    db1   ok      1.2s
    == wide characters ==
    HOST  STATUS  TIME  OUTPUT
    web1  ok      1.2s  größe 日本語 😀
    web2  ok      1.2s  日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語
                        日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語
    web3  ok      1.2s
    db1   ok      1.2s
    == binary ==
    HOST  STATUS  TIME  OUTPUT
    web1  ok      1.2s  ^[[31mred^[[0m \xff^@
    web2  ok      1.2s  a "quoted", word
    web3  ok      1.2s
    db1   ok      1.2s
    "#);
}

#[test]
fn tables_fit_a_narrow_terminal() {
    assert_snapshot!(run(&on_terminal(Format::Table, 40), &many_lines()).text(), @r#"
    HOST  STATUS  TIME  OUTPUT
    web1  ok      1.2s  line 1
                        line 2
                        line 3
                        line 4
                        … 3 more lines …
                        line 8
                        line 9
                        line 10
                        line 11
                        line 12
    web2  ok      1.2s          one
                          two
    web3  ok      1.2s  a word and a word
                        and a word and a
                        word and a word and
                        a word and a word
                        and a word and a
                        word and a word and
                        a word an…
                        last
    db1   ok      1.2s
    "#);
    assert_snapshot!(run(&on_terminal(Format::Table, 40), &unreached_hosts()).text(), @r#"
    HOST  STATUS       TIME  OUTPUT
    web1  ok           1.2s  ok
    web2  refused      1.2s  192.0.2.8 port
                             22 refused the
                             connection
    web3  refused      1.2s  192.0.2.9 port
                             22 refused the
                             connection
    db1   not-started  -
    "#);
}

#[test]
fn tables_in_a_pipe_are_as_wide_as_they_need() {
    assert_snapshot!(run(&Options::new(Format::Table), &many_lines()).text(), @r#"
    HOST  STATUS  TIME  OUTPUT
    web1  ok      1.2s  line 1
                        line 2
                        line 3
                        line 4
                        … 3 more lines …
                        line 8
                        line 9
                        line 10
                        line 11
                        line 12
    web2  ok      1.2s          one
                          two
    web3  ok      1.2s  a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and
                        last
    db1   ok      1.2s
    "#);
}

#[test]
fn tables_show_the_status_in_colour() {
    let mut options = on_terminal(Format::Table, 80);
    options.has_color = true;
    let text = run(&options, &unreached_hosts())
        .text()
        .replace('\x1b', "ESC");
    assert_snapshot!(text, @r#"
    HOST  STATUS       TIME  OUTPUT
    web1  ESC[32mokESC[0m           1.2s  ok
    web2  ESC[31mrefusedESC[0m      1.2s  192.0.2.8 port 22 refused the connection
    web3  ESC[31mrefusedESC[0m      1.2s  192.0.2.9 port 22 refused the connection
    db1   ESC[33mnot-startedESC[0m  -
    "#);
}

#[test]
fn stream() {
    assert_snapshot!(shown(&on_terminal(Format::Stream, 80)), @r#"
    == all ok ==
    web1: up 3 days
    web2: up 3 days
    web3: up 3 days
    db1: up 3 days
    == one fails ==
    db1: ok
    web1: ok
    web2: half
    web3: ok
    -- stderr --
    web2: nginx: no such file
    hoist: web2: exit 3
    == unreached ==
    web1: ok
    -- stderr --
    hoist: web2: refused: 192.0.2.8 port 22 refused the connection
    hoist: web3: refused: 192.0.2.9 port 22 refused the connection
    hoist: db1: not-started
    == many lines ==
    web1: line 1
    web1: line 2
    web1: line 3
    web1: line 4
    web1: line 5
    web1: line 6
    web1: line 7
    web1: line 8
    web1: line 9
    web1: line 10
    web1: line 11
    web1: line 12
    web2: 	one
    web2:   two
    web2: 
    web3: a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and 
    web3: last
    == wide characters ==
    web1: größe 日本語 😀
    web2: 日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語
    == binary ==
    web1: ^[[31mred^[[0m \xff^@
    web2: a "quoted", word
    "#);
}

#[test]
fn group() {
    assert_snapshot!(shown(&on_terminal(Format::Group, 80)), @r#"
    == all ok ==
    db1,web[1-3] (4 hosts): ok
      up 3 days
    == one fails ==
    db1,web[1,3] (3 hosts): ok
      ok

    web2: exit 3
      half
      stderr: nginx: no such file
    == unreached ==
    web[2-3] (2 hosts): refused
      web2: 192.0.2.8 port 22 refused the connection
      … the others likewise

    web1: ok
      ok

    db1: not-started
    == many lines ==
    web1: ok
      line 1
      line 2
      line 3
      line 4
      line 5
      line 6
      line 7
      line 8
      line 9
      line 10
      line 11
      line 12

    web2: ok
      	one
        two
      

    web3: ok
      a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and 
      last

    db1: ok
    == wide characters ==
    db1,web3 (2 hosts): ok

    web1: ok
      größe 日本語 😀

    web2: ok
      日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語
    == binary ==
    db1,web3 (2 hosts): ok

    web1: ok
      ^[[31mred^[[0m \xff^@

    web2: ok
      a "quoted", word
    "#);
}

#[test]
fn json() {
    assert_snapshot!(run(&Options::new(Format::Json), &one_fails()).text(), @r#"
    [
    {"host":"web1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"ok\n","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":3,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":81,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"},
    {"host":"web2","address":"192.0.2.7","user":"root","port":22,"status":"failed","kind":"exit","exit_code":3,"signal":null,"stdout":"half","stderr":"nginx: no such file\n","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":4,"stderr_bytes":20,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":81,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"},
    {"host":"web3","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"ok\n","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":3,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":81,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"},
    {"host":"db1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"ok\n","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":3,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":81,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"}
    ]
    "#);
    assert_snapshot!(run(&Options::new(Format::Json), &unreached_hosts()).text(), @r#"
    [
    {"host":"web1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"ok\n","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":3,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":81,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"},
    {"host":"web2","address":"192.0.2.7","user":"root","port":22,"status":"failed","kind":"refused","exit_code":null,"signal":null,"stdout":"","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":0,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":null,"attempts":1,"message":"192.0.2.8 port 22 refused the connection","killed":null,"run":"20260131T235959Z-3f9a2c"},
    {"host":"web3","address":"192.0.2.7","user":"root","port":22,"status":"failed","kind":"refused","exit_code":null,"signal":null,"stdout":"","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":0,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":null,"attempts":1,"message":"192.0.2.9 port 22 refused the connection","killed":null,"run":"20260131T235959Z-3f9a2c"},
    {"host":"db1","address":"192.0.2.7","user":"root","port":22,"status":"skipped","kind":"not-started","exit_code":null,"signal":null,"stdout":"","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":0,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":null,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"}
    ]
    "#);
}

#[test]
fn jsonl() {
    let outputs_of = |told: &[Told]| {
        let text = run(&Options::new(Format::Jsonl), told).text();
        let start = |line: &str| {
            line.split(",\"stdout_truncated")
                .next()
                .unwrap_or("")
                .to_owned()
        };
        text.lines()
            .map(|line| start(line) + "\n")
            .collect::<String>()
    };
    assert_snapshot!(outputs_of(&one_fails()), @r#"
    {"host":"db1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"ok\n","stderr":""
    {"host":"web1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"ok\n","stderr":""
    {"host":"web2","address":"192.0.2.7","user":"root","port":22,"status":"failed","kind":"exit","exit_code":3,"signal":null,"stdout":"half","stderr":"nginx: no such file\n"
    {"host":"web3","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"ok\n","stderr":""
    "#);
    assert_snapshot!(outputs_of(&wide()), @r#"
    {"host":"web1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"größe 日本語 😀\n","stderr":""
    {"host":"web2","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語","stderr":""
    {"host":"web3","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"","stderr":""
    {"host":"db1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"","stderr":""
    "#);
    assert_snapshot!(outputs_of(&binary()), @r#"
    {"host":"web1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":null,"stdout_b64":"G1szMW1yZWQbWzBtIP8ACg==","stderr":""
    {"host":"web2","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"a \"quoted\", word\n","stderr":""
    {"host":"web3","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"","stderr":""
    {"host":"db1","address":"192.0.2.7","user":"root","port":22,"status":"ok","kind":null,"exit_code":0,"signal":null,"stdout":"","stderr":""
    "#);
}

#[test]
fn events_as_lines() {
    let mut options = Options::new(Format::Jsonl);
    options.has_events = true;
    assert_snapshot!(show(&options, &every_event(), 100).text(), @r#"
    {"v":1,"event":"run_started","at":"2026-01-31T23:59:59.500Z","run":"20260131T235959Z-3f9a2c","hosts":["web1","web2"]}
    {"v":1,"event":"attempt","at":"2026-01-31T23:59:59.500Z","host":"web1","attempt":1}
    {"v":1,"event":"connected","at":"2026-01-31T23:59:59.500Z","host":"web1","duration_ms":81}
    {"v":1,"event":"started","at":"2026-01-31T23:59:59.500Z","host":"web1"}
    {"v":1,"event":"moved","at":"2026-01-31T23:59:59.500Z","host":"web1","bytes":1024,"total":4096}
    {"v":1,"event":"stopping","at":"2026-01-31T23:59:59.500Z","reason":"interrupt","running":1}
    {"v":1,"event":"output","at":"2026-01-31T23:59:59.500Z","host":"web1","pipe":"stdout","data":"grö"}
    {"v":1,"event":"output","at":"2026-01-31T23:59:59.500Z","host":"web1","pipe":"stdout","data_b64":"/w=="}
    {"v":1,"event":"output","at":"2026-01-31T23:59:59.500Z","host":"web1","pipe":"stderr","data":"no\n"}
    {"v":1,"event":"finished","at":"2026-01-31T23:59:59.500Z","host":"web1","record":{"host":"web1","address":"192.0.2.7","user":"root","port":22,"status":"failed","kind":"exit","exit_code":3,"signal":null,"stdout":null,"stdout_b64":"Z3LDtv8=","stderr":"no\n","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":5,"stderr_bytes":3,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":81,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"}}
    {"v":1,"event":"finished","at":"2026-01-31T23:59:59.500Z","host":"web2","record":{"host":"web2","address":"192.0.2.7","user":"root","port":22,"status":"skipped","kind":"not-started","exit_code":null,"signal":null,"stdout":"","stderr":"","stdout_truncated":false,"stderr_truncated":false,"stdout_bytes":0,"stderr_bytes":0,"stdout_held":false,"changed":null,"started_at":"2026-01-31T23:59:59.500Z","duration_ms":1234,"connect_ms":null,"attempts":1,"message":null,"killed":null,"run":"20260131T235959Z-3f9a2c"}}
    {"v":1,"event":"run_finished","at":"2026-01-31T23:59:59.500Z","hosts":2,"ok":0,"failed":1,"skipped":1,"kinds":{"exit":1,"not-started":1},"max_exit_code":3,"stopped_by":null,"duration_ms":2100}
    "#);
}

#[test]
fn csv() {
    assert_snapshot!(run(&Options::new(Format::Csv), &one_fails()).text(), @r#"
    host,address,user,port,status,kind,exit_code,signal,stdout,stderr,stdout_truncated,stderr_truncated,stdout_bytes,stderr_bytes,stdout_held,changed,started_at,duration_ms,connect_ms,attempts,message,killed,run
    web1,192.0.2.7,root,22,ok,,0,,"ok
    ",,false,false,3,0,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    web2,192.0.2.7,root,22,failed,exit,3,,"half","nginx: no such file
    ",false,false,4,20,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    web3,192.0.2.7,root,22,ok,,0,,"ok
    ",,false,false,3,0,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    db1,192.0.2.7,root,22,ok,,0,,"ok
    ",,false,false,3,0,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    "#);
    assert_snapshot!(run(&on_terminal(Format::Csv, 80), &binary()).text(), @r#"
    host,address,user,port,status,kind,exit_code,signal,stdout,stderr,stdout_truncated,stderr_truncated,stdout_bytes,stderr_bytes,stdout_held,changed,started_at,duration_ms,connect_ms,attempts,message,killed,run
    web1,192.0.2.7,root,22,ok,,0,,"^[[31mred^[[0m \xff^@
    ",,false,false,16,0,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    web2,192.0.2.7,root,22,ok,,0,,"a ""quoted"", word
    ",,false,false,17,0,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    web3,192.0.2.7,root,22,ok,,0,,,,false,false,0,0,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    db1,192.0.2.7,root,22,ok,,0,,,,false,false,0,0,false,,2026-01-31T23:59:59.500Z,1234,81,1,,,20260131T235959Z-3f9a2c
    "#);
}

#[test]
fn tsv() {
    assert_snapshot!(run(&Options::new(Format::Tsv), &one_fails()).text(), @r#"
    host	address	user	port	status	kind	exit_code	signal	stdout	stderr	stdout_truncated	stderr_truncated	stdout_bytes	stderr_bytes	stdout_held	changed	started_at	duration_ms	connect_ms	attempts	message	killed	run
    web1	192.0.2.7	root	22	ok		0		ok\n		false	false	3	0	false		2026-01-31T23:59:59.500Z	1234	81	1			20260131T235959Z-3f9a2c
    web2	192.0.2.7	root	22	failed	exit	3		half	nginx: no such file\n	false	false	4	20	false		2026-01-31T23:59:59.500Z	1234	81	1			20260131T235959Z-3f9a2c
    web3	192.0.2.7	root	22	ok		0		ok\n		false	false	3	0	false		2026-01-31T23:59:59.500Z	1234	81	1			20260131T235959Z-3f9a2c
    db1	192.0.2.7	root	22	ok		0		ok\n		false	false	3	0	false		2026-01-31T23:59:59.500Z	1234	81	1			20260131T235959Z-3f9a2c
    "#);
}

#[test]
fn raw() {
    assert_snapshot!(shown(&on_terminal(Format::Raw, 80)), @r#"
    == all ok ==
    up 3 days
    up 3 days
    up 3 days
    up 3 days
    == one fails ==
    ok
    half
    ok
    ok
    -- stderr --
    nginx: no such file
    == unreached ==
    ok
    == many lines ==
    line 1
    line 2
    line 3
    line 4
    line 5
    line 6
    line 7
    line 8
    line 9
    line 10
    line 11
    line 12
    	one
      two

    a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and a word and 
    last
    == wide characters ==
    größe 日本語 😀
    日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語
    == binary ==
    ^[[31mred^[[0m \xff^@
    a "quoted", word
    "#);
}

#[test]
fn none() {
    assert_eq!(run(&Options::new(Format::None), &one_fails()).out, b"");
}

#[test]
fn the_end_of_a_run() {
    let lines_of = |told: &[Told]| {
        let mut failures = Failures::new();
        let events = events(&HOSTS, told);
        for event in &events {
            failures.tell(event).unwrap();
        }
        match &events.last().unwrap().kind {
            EventKind::RunFinished { summary } => failures.lines(summary).join("\n"),
            other => panic!("the last event is {other:?}"),
        }
    };
    assert_snapshot!(lines_of(&all_ok()), @"4 hosts: 4 ok in 2.1s");
    assert_snapshot!(lines_of(&one_fails()), @r#"
    4 hosts: 3 ok, 1 failed (1 exit) in 2.1s
    exit: web2
    "#);
    assert_snapshot!(lines_of(&unreached_hosts()), @r#"
    4 hosts: 1 ok, 2 failed (2 refused), 1 not started in 2.1s
    refused: web[2-3]; not-started: db1
    "#);
}
