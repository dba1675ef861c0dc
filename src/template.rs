//! Templates: text with `{{ … }}`, rendered for one host with the whole inventory in view.
//!
//! A text and a [`Scene`] (inventory, variables, earlier results) come in; each host's own text goes
//! out, or an error with line and column. The language is Jinja's, by minijinja. What is not
//! defined is an error, nothing is escaped, and no file is read: there is no `include`.
//!
//! ```
//! use std::sync::Arc;
//! use hoist::inventory::{Inventory, Source};
//! use hoist::template::{Scene, Template};
//!
//! let text = "[app]\napp[1-2]\n[proxy]\nproxy1\n".into();
//! let inventory = Arc::new(Inventory::load(&[Source::bytes("fleet", text)])?);
//! let proxy = inventory.get("proxy1").unwrap().clone();
//! let scene = Scene::new(inventory);
//! let text = "{% for h in groups.app %}server {{ h.address }}:8000;\n{% endfor %}";
//! let template = Template::parse("app.conf", text)?;
//! assert_eq!(template.render(&scene, &proxy)?, "server app1:8000;\nserver app2:8000;\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::Map;
use thiserror::Error;

use crate::host::{Address, Host, Port, UserName, escaped};
use crate::inventory::Inventory;
use crate::quote;

/// Names that a template may use.
const NAMES: [&str; 5] = ["host", "hosts", "groups", "vars", "results"];

/// Why a template can't be read or rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {message}{}", .host.as_ref().map(|host| format!(" (for {host})")).unwrap_or_default())]
pub struct TemplateError {
    /// `app.conf:3:14`: the template's name, and line and column in characters from 1 where they
    /// are known.
    pub place: String,
    /// What is wrong, on one line.
    pub message: String,
    /// The host it was rendered for.
    pub host: Option<String>,
}

/// What templates see beside their host. Lists are made when a template first asks for them.
#[derive(Debug)]
pub struct Scene {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inventory: Arc<Inventory>,
    vars: Value,
    results: Value,
    hosts: OnceLock<Vec<Value>>,
    /// The lists of groups that were asked for.
    lists: Mutex<HashMap<String, Value>>,
}

impl Scene {
    /// Returns what an inventory shows, without variables and results.
    pub fn new(inventory: Arc<Inventory>) -> Self {
        Self::with(inventory, Map::new(), Map::new())
    }

    /// Returns what an inventory shows, with `vars`, and with `results`: records of an earlier run
    /// by the names of their hosts.
    pub fn with(
        inventory: Arc<Inventory>,
        vars: Map<String, serde_json::Value>,
        results: Map<String, serde_json::Value>,
    ) -> Self {
        let shared = Shared {
            inventory,
            vars: Value::from(Serde(vars)),
            results: Value::from(Serde(results)),
            hosts: OnceLock::new(),
            lists: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns what a template sees that is rendered for `host`.
    fn seen_by(&self, host: &Host) -> Value {
        let groups = self.shared.inventory.groups_of(host.name.as_str());
        Value::from_object(View {
            host: HostView::value(host, &groups),
            shared: Arc::clone(&self.shared),
        })
    }
}

impl Shared {
    /// Returns all hosts, in the inventory's order.
    fn hosts(&self) -> &[Value] {
        self.hosts.get_or_init(|| {
            let hosts = self.inventory.hosts();
            let view = |host: &Host| {
                let groups = self.inventory.groups_of(host.name.as_str());
                HostView::value(host, &groups)
            };
            hosts.map(view).collect()
        })
    }

    /// Returns the list of a group's hosts, made once.
    fn group(&self, name: &str) -> Option<Value> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = lists.get(name) {
            return Some(list.clone());
        }
        let members = self.inventory.group(name)?;
        let hosts = self.hosts();
        let members = members.filter_map(|host| {
            let index = self.inventory.index_of(host.name.as_str())?;
            hosts.get(index).cloned()
        });
        let list: Value = members.collect();
        lists.insert(name.to_owned(), list.clone());
        Some(list)
    }
}

/// All that a template sees.
#[derive(Debug)]
struct View {
    host: Value,
    shared: Arc<Shared>,
}

impl Object for View {
    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "host" => Some(self.host.clone()),
            "hosts" => self.shared.group("all"),
            "groups" => Some(Value::from_object(GroupsView(Arc::clone(&self.shared)))),
            "vars" => Some(self.shared.vars.clone()),
            "results" => Some(self.shared.results.clone()),
            _ => None,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&NAMES)
    }
}

/// Groups by name.
#[derive(Debug)]
struct GroupsView(Arc<Shared>);

impl Object for GroupsView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.group(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.0.inventory.group_names();
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }
}

/// A host: its own fields, and each variable under its name where no field has that.
#[derive(Debug)]
struct HostView {
    host: Host,
    groups: Value,
}

impl HostView {
    const FIELDS: [&str; 6] = ["name", "address", "user", "port", "groups", "variables"];

    fn value(host: &Host, groups: &[&str]) -> Value {
        Value::from_object(Self {
            host: host.clone(),
            groups: groups.iter().copied().map(Value::from).collect(),
        })
    }

    fn variables(&self) -> Value {
        let all = self.host.variables.iter();
        Value::from_pairs(all.map(|(name, value)| (name.to_owned(), Value::from(value))))
    }
}

impl Object for HostView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let host = &self.host;
        Some(match key.as_str()? {
            "name" => host.name.as_str().into(),
            "address" => {
                let address = host.address.as_ref().map(Address::as_str);
                address.unwrap_or(host.name.as_str()).into()
            }
            "user" => host.user.as_ref().map(UserName::as_str).into(),
            "port" => host.port.map(Port::get).into(),
            "groups" => self.groups.clone(),
            "variables" => self.variables(),
            name => host.variables.get(name)?.into(),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&Self::FIELDS)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host.name.as_str())
    }
}

/// A template that was read.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    name: String,
    text: String,
}

impl Template {
    /// Reads a template; `name` is what errors call it.
    ///
    /// # Errors
    /// When it can't be understood.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        Self::read(name, text, write_plain)
    }

    /// Reads a line for a shell: each value is quoted for POSIX shells, unless it goes through
    /// `safe`.
    ///
    /// # Errors
    /// When it can't be understood, or a value stands within quotes of the line.
    pub fn parse_for_shell(name: &str, text: &str) -> Result<Self, TemplateError> {
        if let Some(at) = value_in_quotes(text) {
            return Err(TemplateError {
                place: place(name, text, at),
                message: "a value stands within quotes or a here-document, where it could end \
                          them; leave them out: values are quoted by themselves"
                    .to_owned(),
                host: None,
            });
        }
        Self::read(name, text, write_quoted)
    }

    fn read(
        name: &str,
        text: &str,
        write: fn(&mut Output<'_>, &mut State<'_, '_>, &Value) -> Result<(), Error>,
    ) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(syntax());
        environment.set_debug(true);
        environment.set_formatter(write);
        environment.add_filter("quote", |value: Value| {
            Value::from_safe_string(quote::posix(&value.to_string()))
        });
        // These would pass for quoted. Nothing is escaped here, and JSON is as JSON is.
        environment.remove_filter("e");
        environment.remove_filter("escape");
        environment.add_filter("tojson", |value: Value| {
            serde_json::to_string(&value)
                .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
        });
        let read = environment.add_template_owned(name.to_owned(), text.to_owned());
        read.map_err(|error| explained(&error, name, text, None))?;
        Ok(Self {
            environment,
            name: name.to_owned(),
            text: text.to_owned(),
        })
    }

    /// Whether every host gets the same.
    pub fn is_same_for_all(&self) -> bool {
        let template = self.environment.get_template(&self.name);
        template.is_ok_and(|template| !template.undeclared_variables(false).contains("host"))
    }

    /// Returns the text for `host`.
    ///
    /// # Errors
    /// When something is not defined, or an expression can't be worked out.
    pub fn render(&self, scene: &Scene, host: &Host) -> Result<String, TemplateError> {
        let template = self.environment.get_template(&self.name);
        let rendered = template.and_then(|template| template.render(scene.seen_by(host)));
        rendered
            .map_err(|error| explained(&error, &self.name, &self.text, Some(host.name.as_str())))
    }
}

/// The last line keeps its end, and a line that holds nothing but a block leaves none.
fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax
        .keep_trailing_newline(true)
        .trim_blocks(true)
        .lstrip_blocks(true);
    syntax.build().expect("the delimiters are the usual ones")
}

fn write_plain(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    must_be_defined(value)?;
    write!(out, "{value}").map_err(Error::from)
}

fn write_quoted(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    must_be_defined(value)?;
    if value.is_safe() {
        return write!(out, "{value}").map_err(Error::from);
    }
    out.write_str(&quote::posix(&value.to_string()))
        .map_err(Error::from)
}

/// A value that isn't there must not pass for an empty one; neither must `none`, which is what a
/// host without a port has as its port.
fn must_be_defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Err(ErrorKind::UndefinedError.into());
    }
    Ok(())
}

/// Says in one line what is wrong, and where.
fn explained(error: &Error, name: &str, text: &str, host: Option<&str>) -> TemplateError {
    let range = error
        .range()
        .filter(|range| text.get(range.clone()).is_some());
    let range = range.map(|range| whole_name(text, range));
    let place = match (&range, error.line()) {
        (Some(range), _) => place(name, text, range.start),
        (None, Some(line)) => format!("{name}:{line}"),
        (None, None) => name.to_owned(),
    };
    let part = range.map(|range| escaped(text[range].trim()));
    let message = match (error.kind(), part, error.detail()) {
        (ErrorKind::UndefinedError, Some(part), _) if is_name(&part) => {
            format!("`{part}` is not defined")
        }
        (ErrorKind::UndefinedError, Some(part), _) => {
            format!("something in `{part}` is not defined")
        }
        (kind, _, Some(detail)) => format!("{kind}: {}", escaped(detail)),
        (kind, Some(part), None) => format!("{kind}: `{part}`"),
        (kind, None, None) => kind.to_string(),
    };
    TemplateError {
        place: escaped(&place),
        message,
        host: host.map(str::to_owned),
    }
}

/// Returns `name:line:column` of a place in a text.
fn place(name: &str, text: &str, at: usize) -> String {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    format!("{name}:{line}:{}", before[start..].chars().count() + 1)
}

/// Extends a range that begins within a name, as `.b` of `vars.a.b`, to all of it.
fn whole_name(text: &str, range: Range<usize>) -> Range<usize> {
    if !text[range.clone()].starts_with(['.', '[']) {
        return range;
    }
    let before = &text[..range.start];
    let is_part = |c: char| c.is_alphanumeric() || "_.[]'\"".contains(c);
    let start = before.trim_end_matches(is_part).len();
    start..range.end
}

fn is_name(part: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_.[]'\"-".contains(c);
    part.chars().all(is_part)
}

/// How the parts of a template begin and end.
pub const PARTS: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];

/// Finds the first value that stands within quotes of a shell's line, or after the beginning of a
/// here-document: quoted once more, it would end them. One that is `safe` is its author's business.
fn value_in_quotes(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut has_document = false;
    let mut at = 0;
    let mut before = ' ';
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let part = PARTS.iter().find(|(open, _)| rest.starts_with(open));
        if let Some((open, close)) = part {
            let end = rest.find(close).map_or(rest.len(), |end| end + close.len());
            let inner = rest[..end].trim_end_matches(['}', '-', ' ']);
            if *open == "{{" && (quote.is_some() || has_document) && !inner.ends_with("safe") {
                return Some(at);
            }
            at += end;
            before = '}';
            continue;
        }
        match (quote, c) {
            (None, '#') if before.is_whitespace() => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            (None | Some('"'), '\\') => at += rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '<') if rest.starts_with("<<") => has_document = true,
            _ => {}
        }
        at += c.len_utf8();
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::host::HostName;
    use crate::inventory::Source;

    fn scene() -> Scene {
        let text = "[app]\napp1 address=192.0.2.1 port=8001 rack=a1\napp2 user=me\n\
                    [proxy]\nproxy1 \"odd name\"=x\n[site:children]\napp\nproxy\n";
        let sources = [Source::bytes("fleet", text.into())];
        let inventory = Inventory::load(&sources).unwrap();
        let object = |value: serde_json::Value| value.as_object().unwrap().clone();
        Scene::with(
            Arc::new(inventory),
            object(json!({"domain": "example.org", "ports": [1, 2], "empty": null})),
            object(json!({"app1": {"stdout": "5.10\n", "exit_code": 0}})),
        )
    }

    fn host(scene: &Scene, name: &str) -> Host {
        let known = scene.shared.inventory.get(name).cloned();
        known.unwrap_or_else(|| Host::named(HostName::parse(name).unwrap()))
    }

    fn rendered(text: &str, name: &str) -> String {
        let scene = scene();
        let template = Template::parse("t", text).unwrap();
        template.render(&scene, &host(&scene, name)).unwrap()
    }

    fn error(text: &str) -> String {
        let scene = scene();
        match Template::parse("conf/t", text) {
            Err(error) => error.to_string(),
            Ok(template) => {
                let rendered = template.render(&scene, &host(&scene, "app1"));
                rendered.unwrap_err().to_string()
            }
        }
    }

    #[test]
    fn a_host_shows_its_fields_and_variables() {
        let text = "{{ host.name }} {{ host.address }} {{ host.port }} {{ host.rack }} \
                    {{ host.groups|join(',') }} {{ host.variables.rack }} {{ host }}";
        assert_eq!(
            rendered(text, "app1"),
            "app1 192.0.2.1 8001 a1 app,site a1 app1"
        );
        assert_eq!(
            rendered("{{ host.address }} {{ host.user }}", "app2"),
            "app2 me"
        );
        assert_eq!(
            rendered("{{ host.name }}{{ host.groups|length }}", "new"),
            "new0"
        );
        assert_eq!(
            rendered("{{ host.port or 22 }}{{ host.zone|default('-') }}", "app2"),
            "22-"
        );
    }

    #[test]
    fn the_whole_inventory_is_in_view() {
        let text = "upstream app {\n  {% for h in groups.app %}\n  server {{ h.address }};\n  \
                    {% endfor %}\n}\n";
        assert_eq!(
            rendered(text, "proxy1"),
            "upstream app {\n  server 192.0.2.1;\n  server app2;\n}\n"
        );
        let text = "{{ hosts|length }} {{ groups|join(' ') }} {{ groups.site|length }} {{ groups.all|length }}";
        assert_eq!(rendered(text, "app1"), "3 app proxy site 3 3");
        assert_eq!(rendered("{{ 'nosuch' in groups }}", "app1"), "False");
    }

    #[test]
    fn variables_and_results_are_there() {
        let text = "{{ vars.domain }} {{ vars.ports[1] }} {{ results[host.name].stdout|trim }}";
        assert_eq!(rendered(text, "app1"), "example.org 2 5.10");
    }

    #[test]
    fn what_is_not_there_is_an_error_with_its_place() {
        insta::assert_snapshot!(error("a\nb {{ host.zone }}"), @"conf/t:2:6: `host.zone` is not defined (for app1)");
        insta::assert_snapshot!(error("{{ nosuch }}"), @"conf/t:1:4: `nosuch` is not defined (for app1)");
        insta::assert_snapshot!(error("{% for h in groups.nosuch %}x{% endfor %}"), @"conf/t:1:13: `groups.nosuch` is not defined (for app1)");
        insta::assert_snapshot!(error("{{ host.user }}"), @"conf/t:1:4: `host.user` is not defined (for app1)");
        insta::assert_snapshot!(error("{{ vars.empty }}"), @"conf/t:1:4: `vars.empty` is not defined (for app1)");
        insta::assert_snapshot!(error("a\n  {% for x %}"), @"conf/t:2:12: syntax error: unexpected end of block, expected in");
        insta::assert_snapshot!(error("{{ 'a"), @"conf/t:1: syntax error: unexpected end of string");
        insta::assert_snapshot!(error("{{ 1/0 }}"), @"conf/t:1:4: invalid operation: unable to calculate 1 / 0 (for app1)");
        insta::assert_snapshot!(error("{{ host.name|nosuch }}"), @"conf/t:1:14: unknown filter: filter nosuch is unknown (for app1)");
        insta::assert_snapshot!(error("{% include 'x' %}"), @"conf/t:1:4: syntax error: unknown statement include");
    }

    #[test]
    fn values_are_quoted_for_a_shell_unless_they_are_safe() {
        let scene = scene();
        let host = host(&scene, "app1");
        let text = "echo {{ \"it's $x\" }} {{ host.name }} {{ '*.c'|safe }}";
        let template = Template::parse_for_shell("t", text).unwrap();
        assert_eq!(
            template.render(&scene, &host).unwrap(),
            r"echo 'it'\''s $x' app1 *.c"
        );
        assert_eq!(rendered("{{ \"a b\"|quote }}", "app1"), "'a b'");
    }

    #[test]
    fn a_value_within_quotes_of_a_line_is_refused() {
        let read = |text: &str| Template::parse_for_shell("line", text).map(|_| ());
        for text in [
            "echo \"a {{ host.name }}\"",
            "echo 'a {{ host.name }}'",
            "echo \"it's {{ host.name }}\"",
            "cat <<END\n{{ host.name }}\nEND",
            "echo a\\\\\"b {{ host.name }}\"",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message.contains("within quotes"), "{text}: {error}");
        }
        assert_eq!(
            read("a\n 'b {{ host.name }}'").unwrap_err().place,
            "line:2:5"
        );
        for text in [
            "echo \"a\" {{ host.name }} 'b'",
            "echo it\\'s {{ host.name }}",
            "# don't\necho {{ host.name }}",
            "echo \"{{ host.name | safe }}\"",
            "echo {{ \"it's\" }} {{ host.name }}",
            "echo '{% if true %}x{% endif %}'",
            "echo a#'b' {{ host.name }}",
        ] {
            assert_eq!(read(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn nothing_but_safe_and_quote_passes_for_quoted() {
        let scene = scene();
        let host = host(&scene, "app1");
        for (text, expected) in [
            ("{{ '$(id)' | tojson }}", "'\"$(id)\"'"),
            ("{{ '$(id)' | quote }}", "'$(id)'"),
            ("{{ ['a', '$(id)'] | join(' ') }}", "'a $(id)'"),
        ] {
            let template = Template::parse_for_shell("t", text).unwrap();
            assert_eq!(template.render(&scene, &host).unwrap(), expected, "{text}");
        }
        let escaping = Template::parse_for_shell("t", "{{ 'x' | e }}").unwrap();
        assert!(escaping.render(&scene, &host).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}%#a-z.|'\" \n-]{0,60}") {
            let scene = scene();
            for read in [Template::parse, Template::parse_for_shell] {
                if let Ok(template) = read("t", &text) {
                    let _ = template.render(&scene, &host(&scene, "app1"));
                }
            }
        }

        #[test]
        fn text_without_braces_comes_out_as_it_is(text in "[^{}]{0,80}") {
            prop_assert_eq!(rendered(&text, "app1"), text);
        }
    }
}
