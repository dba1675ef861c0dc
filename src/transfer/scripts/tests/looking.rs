//! What is on a host, and how it is read.

use proptest::prelude::*;

use super::*;

#[test]
fn everything_is_told_in_order() {
    for mut host in Host::all() {
        let mut paths = Vec::new();
        for (index, name) in odd_names().into_iter().enumerate() {
            fs::write(host.join(&name), "x".repeat(index)).unwrap();
            paths.push(PathBuf::from(name.clone()));
            let mut missing = name.clone();
            missing.push("-not");
            paths.push(missing.into());
            let mut link = name.clone();
            link.push("-link");
            symlink(&name, host.join(&link)).unwrap();
            paths.push(link.into());
        }
        fs::create_dir(host.join("folder")).unwrap();
        fs::set_permissions(host.join("folder"), fs::Permissions::from_mode(0o3751)).unwrap();
        paths.extend(["folder/", "", "/dev/null", "folder/no/such"].map(PathBuf::from));
        let found = host.survey(&paths).unwrap();
        assert_eq!(found.len(), paths.len(), "{}", host.name);
        for (index, name) in odd_names().into_iter().enumerate() {
            let what = format!("{}: {name:?}", host.name);
            let [file, missing, link] = &found[index * 3..index * 3 + 3] else {
                panic!()
            };
            let file = file.as_ref().expect(&what);
            assert_eq!(
                (file.kind, file.size),
                (FileKind::File, index as u64),
                "{what}"
            );
            let own = fs::metadata(host.join(&name)).unwrap();
            assert_eq!(file.mode, own.mode() & 0o7777, "{what}");
            assert_eq!(file.owner, Some((own.uid(), own.gid())), "{what}");
            if host.has_tar() {
                assert_eq!(file.modified, u64::try_from(own.mtime()).ok(), "{what}");
            }
            assert_eq!(*missing, None, "{what}");
            let link = link.as_ref().expect(&what);
            assert_eq!(link.kind, FileKind::Link, "{what}");
            assert_eq!(link.target, Some(name.into()), "{what}");
        }
        let rest = &found[found.len() - 4..];
        let folder = rest[0].as_ref().unwrap();
        assert_eq!((folder.kind, folder.mode), (FileKind::Folder, 0o3751));
        assert_eq!(rest[1].as_ref().unwrap().kind, FileKind::Folder);
        assert_eq!(rest[2].as_ref().unwrap().kind, FileKind::Other);
        assert_eq!(rest[3], None);
    }
}

#[test]
fn what_cannot_be_looked_at_is_not_missing() {
    let mut host = Host::usual();
    fs::create_dir_all(host.join("closed/in")).unwrap();
    fs::set_permissions(host.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    host.as_nobody();
    assert_eq!(host.survey(&["no/such".into()]).unwrap(), [None]);
    let trouble = host.survey(&["closed/in/x".into()]).unwrap_err();
    assert_eq!(trouble.kind, Kind::Transfer);
    let expected = "cannot look at `closed/in/x`: permission denied";
    assert_eq!(trouble.message, expected);
}

#[test]
fn hashes_are_those_of_the_files() {
    for mut host in Host::all() {
        let mut paths = Vec::new();
        let mut expected = Vec::new();
        let mut add = |name: &OsStr, text: &str| {
            let tree = Tree::of_bytes("x".into(), text.as_bytes().into(), 0, 0);
            let NodeKind::File(body) = &tree.nodes[0].kind else {
                panic!()
            };
            fs::write(host.join(name), text).unwrap();
            paths.push(PathBuf::from(name));
            expected.push(Some(body.hash().unwrap()));
        };
        for index in 0..450 {
            add(OsStr::new(&format!("f{index}")), &index.to_string());
        }
        for name in odd_names() {
            add(&name, "odd");
        }
        fs::create_dir(host.join("folder")).unwrap();
        for path in ["missing", "folder"] {
            paths.insert(3, path.into());
            expected.insert(3, None);
        }
        let hashes = block_on(host.way().hashes(&mut host, &paths)).unwrap();
        if !host.has_tar() {
            expected.fill(None);
        }
        assert_eq!(hashes, expected, "{}", host.name);
    }
}

#[test]
fn a_file_that_cannot_be_read_has_no_hash() {
    let mut host = Host::usual();
    host.write("open", "x");
    host.write("closed", "x");
    fs::set_permissions(host.join("closed"), fs::Permissions::from_mode(0o600)).unwrap();
    host.as_nobody();
    let paths = ["closed", "open"].map(PathBuf::from);
    let hashes = block_on(host.way().hashes(&mut host, &paths)).unwrap();
    let is_known: Vec<bool> = hashes.iter().map(Option::is_some).collect();
    assert_eq!(is_known, [false, true]);
}

proptest! {
    #[test]
    fn any_answer_about_hashes_is_read_or_refused(
        text in "(\\\\|[0-9a-fx]{62,65}| |\n|n|none\n)*", count in 0..5_usize,
    ) {
        let hashes = told_hashes(text.as_bytes(), count);
        prop_assert!(hashes.is_none_or(|hashes| hashes.len() == count));
    }
}

#[test]
fn a_hash_is_the_first_64_digits() {
    let digits = "0f".repeat(32);
    for line in [
        digits.clone(),
        format!("\\{digits}  a"),
        format!("{} -", digits.to_uppercase()),
    ] {
        let told = told_hashes(format!("{line}\nn\n").as_bytes(), 2);
        assert_eq!(told, Some(vec![Some([0x0f; 32]), None]), "{line}");
    }
    for line in [
        format!("{digits}0"),
        format!("x{digits}"),
        digits[1..].to_owned(),
    ] {
        assert_eq!(
            told_hashes(format!("{line}\n").as_bytes(), 1),
            None,
            "{line}"
        );
    }
}

#[test]
fn links_are_followed_to_the_real_path() {
    for mut host in Host::all() {
        let home = fs::canonicalize(host.home()).unwrap();
        fs::create_dir_all(host.join("a\n/b")).unwrap();
        fs::write(host.join("a\n/b/file"), "").unwrap();
        symlink("a\n/b", host.join("to folder")).unwrap();
        symlink("b/file", host.join("a\n/to file")).unwrap();
        symlink("a\n/to file", host.join("twice")).unwrap();
        symlink("loop", host.join("loop")).unwrap();
        let mut real = |path: &str| block_on(host.way().real_path(&mut host, Path::new(path)));
        assert_eq!(real("to folder"), Ok(home.join("a\n/b")));
        assert_eq!(real("to folder/file"), Ok(home.join("a\n/b/file")));
        assert_eq!(real("twice"), Ok(home.join("a\n/b/file")));
        assert_eq!(real(""), Ok(home.clone()));
        assert_eq!(real("to folder/../b/."), Ok(home.join("a\n/b")));
        assert_eq!(real("/"), Ok("/".into()));
        for missing in ["missing", "loop", "a\n/x/y"] {
            let trouble = real(missing).unwrap_err();
            assert!(trouble.message.ends_with("nothing is there"), "{trouble:?}");
        }
    }
}

#[test]
fn all_below_a_folder_is_told() {
    for mut host in Host::all() {
        let mut expected = Vec::new();
        fs::create_dir(host.join("-top")).unwrap();
        for name in odd_names() {
            let folder = Path::new("-top").join(&name);
            fs::create_dir(host.join(&folder)).unwrap();
            for inner in [OsString::from("file"), name] {
                fs::write(host.join(folder.join(&inner)), "text").unwrap();
                expected.push(folder.join(inner));
            }
            symlink("x\ny", host.join(folder.join("link"))).unwrap();
            expected.push(folder.join("link"));
            expected.push(folder);
        }
        let all = block_on(host.way().below(&mut host, Path::new("-top"))).unwrap();
        let mut seen = std::collections::HashSet::new();
        for (path, found) in &all {
            let parent = path.parent().unwrap();
            assert!(
                parent == Path::new("-top") || seen.contains(parent),
                "{path:?}"
            );
            seen.insert(path.clone());
            let own = fs::symlink_metadata(host.join(path)).unwrap();
            assert_eq!(found.kind == FileKind::Folder, own.is_dir(), "{path:?}");
            assert_eq!(found.mode, own.mode() & 0o7777, "{path:?}");
            if own.is_symlink() {
                assert_eq!(found.target, Some("x\ny".into()));
            } else if own.is_file() {
                assert_eq!(found.size, 4);
            }
        }
        let mut paths: Vec<_> = all.into_iter().map(|(path, _)| path).collect();
        paths.sort();
        expected.sort();
        assert_eq!(paths, expected, "{}", host.name);
        let trouble = block_on(host.way().below(&mut host, Path::new("no"))).unwrap_err();
        assert_eq!(trouble.message, "cannot list `no`: there is no such folder");
    }
}

#[test]
fn files_are_read_from_any_place() {
    for mut host in Host::all() {
        host.write("-n", "0123456789");
        host.write("empty", "");
        fs::create_dir(host.join("folder")).unwrap();
        let files = [
            ("-n", 0),
            ("missing", 0),
            ("-n", 7),
            ("folder", 0),
            ("empty", 0),
            ("-n", 10),
        ];
        let files = files.map(|(path, offset)| (PathBuf::from(path), offset));
        let mut taken = vec![Vec::new(); files.len()];
        let mut sink = |index: usize, part: &[u8], place: u64| {
            assert_eq!(place, files[index].1 + taken[index].len() as u64);
            taken[index].extend_from_slice(part);
            Ok(())
        };
        let ends = block_on(host.way().fetch(&mut host, &files, &mut sink)).unwrap();
        let texts: Vec<_> = taken
            .iter()
            .map(|text| str::from_utf8(text).unwrap())
            .collect();
        assert_eq!(
            texts,
            ["0123456789", "", "789", "", "", ""],
            "{}",
            host.name
        );
        let ends: Vec<_> = ends
            .into_iter()
            .map(|end| end.map_err(|t| t.message))
            .collect();
        assert_eq!((&ends[0], &ends[2], &ends[4]), (&Ok(10), &Ok(10), &Ok(0)));
        assert_eq!(ends[5], Ok(10));
        let missing = ends[1].as_ref().unwrap_err();
        assert!(missing.starts_with("cannot read `missing`: "), "{missing}");
        assert!(missing.ends_with("No such file or directory"), "{missing}");
        assert_eq!(
            ends[3],
            Err("cannot read `folder`: it is a folder".to_owned())
        );
    }
}

#[test]
fn a_sink_that_takes_nothing_ends_all() {
    let mut host = Host::usual();
    host.write("file", "text");
    let files = [(PathBuf::from("file"), 0)];
    let mut sink = |_: usize, _: &[u8], _: u64| Err(std::io::Error::other("full"));
    let trouble = block_on(host.way().fetch(&mut host, &files, &mut sink)).unwrap_err();
    assert_eq!(trouble.message, "full");
}
