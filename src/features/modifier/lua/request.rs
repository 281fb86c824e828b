//! `request.load()`: a call on its way to a backend, as scripts read and change it.
//!
//! Follows krakend-lua, proxy/request.go (specification, section 2.26).

use std::borrow::Cow;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, UserData, UserDataMethods, Value};

use super::arguments::Arguments;
use super::headers::{HeaderMap, canonical};
use super::interpreter::Shared;
use super::subject::Subject;
use super::tables::{ListObject, new_table};
use crate::json::Value as Json;
use crate::message::headers::{is_token, is_value_byte};
use crate::message::hop_by_hop;
use crate::message::path;
use crate::message::query::{self, Allowed};
use crate::stage::{Call, CallBody, Cause, Failure, Header};

const NOT_A_REQUEST: &str = "request expected";
pub const NO_LIST: &str = "invalid header value, must be a luaList";

/// What scripts see of a call. What they changed is put back once a part of the script is done.
#[derive(Default)]
pub struct Request {
    method: Vec<u8>,
    path: Vec<u8>,
    /// As Go's `url.Values` write it.
    query: Vec<u8>,
    url: Vec<u8>,
    /// By their internal names, in no order; of equal names the last counts.
    params: Vec<(String, Vec<u8>)>,
    headers: HeaderMap,
    body: Rc<Vec<u8>>,
    changed: Changed,
}

#[derive(Clone, Copy, Default)]
struct Changed {
    method: bool,
    url: bool,
    headers: bool,
    body: bool,
}

/// What `request.load()` returns.
struct RequestObject(Rc<Subject>);

impl Request {
    /// A call as it stands. `param_keys` are the internal names of the endpoint's parameters.
    pub fn of(call: &Call<'_>, param_keys: &[Box<str>]) -> Self {
        let of_path = param_keys
            .iter()
            .enumerate()
            .filter_map(|(slot, key)| Some((key.to_string(), call.exchange.param(slot)?.to_vec())));
        let of_steps =
            call.extra_params.iter().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        Self {
            method: call.method.as_bytes().to_vec(),
            path: decoded(call.pattern()),
            query: call.client_query().to_vec(),
            url: call.url.text().into_bytes(),
            params: of_path.chain(of_steps).collect(),
            headers: HeaderMap::of(
                call.headers.iter().map(|header| (&*header.name, &*header.value)),
            ),
            body: match &call.body {
                CallBody::Bytes(bytes) => bytes.clone(),
                CallBody::Empty | CallBody::Stream(_) => Rc::default(),
            },
            changed: Changed::default(),
        }
    }

    /// Puts back what the script changed. Path, query and parameters have done their work: the URL is built.
    ///
    /// # Errors
    /// What Go's client would refuse to send.
    pub fn apply(&mut self, call: &mut Call<'_>) -> Result<(), Failure> {
        let changed = std::mem::take(&mut self.changed);
        if changed.method {
            call.method = Cow::Owned(String::from_utf8_lossy(&self.method).to_uppercase());
            if !is_token(call.method.as_bytes()) {
                return Err(unsent(format!("net/http: invalid method {:?}", call.method)));
            }
        }
        if changed.url {
            self.apply_url(call)?;
        }
        if changed.headers {
            self.apply_headers(call)?;
        }
        if changed.body {
            call.body = CallBody::Bytes(self.body.clone());
        }
        Ok(())
    }

    fn apply_url(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let is_absolute = self
            .url
            .split(|byte| matches!(byte, b'/' | b'?' | b'#'))
            .next()
            .is_some_and(|first| first.contains(&b':'));
        let refused = |why: &str| {
            unsent(format!(
                "{} \"{}\": {why}",
                title(&call.method),
                String::from_utf8_lossy(&self.url)
            ))
        };
        if !is_absolute {
            return Err(refused("unsupported protocol scheme \"\""));
        }
        call.url = call.url.follow(&self.url).map_err(|error| refused(&error.to_string()))?;
        Ok(())
    }

    fn apply_headers(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        // What frames the message is the client's business, and Go's client writes none of these either.
        let sent = self.headers.lines().filter(|(name, _)| {
            !hop_by_hop::is_of_the_connection(name) && !name.eq_ignore_ascii_case(b"host")
        });
        let mut headers = Vec::new();
        for (name, value) in sent {
            let problem = if !is_token(name) {
                "invalid header field name"
            } else if !value.iter().all(|&byte| is_value_byte(byte)) {
                "invalid header field value for"
            } else {
                headers.push(Header {
                    name: Cow::Owned(name.to_vec()),
                    value: Cow::Owned(value.to_vec()),
                });
                continue;
            };
            let (method, url) = (title(&call.method), call.url.text());
            let name = String::from_utf8_lossy(name);
            return Err(unsent(format!("{method} \"{url}\": net/http: {problem} {name:?}")));
        }
        call.headers = Cow::Owned(headers);
        Ok(())
    }
}

fn unsent(message: String) -> Failure {
    Failure::new(Cause::Unreachable, message)
}

/// `Get`, as Go's client puts it before an error.
fn title(method: &str) -> String {
    let mut title = method.to_ascii_lowercase();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

fn decoded(target: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    path::decode(target, &mut decoded).map_or_else(|_| target.to_vec(), <[u8]>::to_vec)
}

/// A query as `Values.Encode` of Go gives it back.
fn encoded_query(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    query::forward(raw, &Allowed::All, None, &mut out);
    out
}

/// The table `request` with its one function.
pub fn offer(lua: &Lua, shared: &Rc<Shared>, offered: &Table) -> mlua::Result<()> {
    let shared = shared.clone();
    let load =
        lua.create_function(move |lua, _: MultiValue| Ok(RequestObject(shared.subject(lua)?)))?;
    offered.set("request", lua.create_table_from([("load", load)])?)
}

/// A method that reads one text and, given a second argument, sets it.
fn add_text<M: UserDataMethods<RequestObject>>(
    methods: &mut M,
    name: &'static str,
    read: fn(&Request) -> &[u8],
    write: fn(&mut Request, Vec<u8>),
) {
    methods.add_function(name, move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, name, &values);
        let object = arguments.object::<RequestObject>(1, NOT_A_REQUEST)?;
        if arguments.count() == 1 {
            return one(lua, read(&object.0.request.borrow()));
        }
        write(&mut object.0.request.borrow_mut(), arguments.text(2)?);
        Ok(MultiValue::new())
    });
}

fn one(lua: &Lua, text: &[u8]) -> mlua::Result<MultiValue> {
    Ok(MultiValue::from_iter([Value::String(lua.create_string(text)?)]))
}

impl UserData for RequestObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        add_text(
            methods,
            "method",
            |request| &request.method,
            |request, text| {
                request.method = text;
                request.changed.method = true;
            },
        );
        add_text(methods, "path", |request| &request.path, |request, text| request.path = text);
        add_text(
            methods,
            "query",
            |request| &request.query,
            |request, text| request.query = encoded_query(&text),
        );
        add_text(
            methods,
            "url",
            |request| &request.url,
            |request, text| {
                request.url = text;
                request.changed.url = true;
            },
        );
        methods.add_function("body", |lua, values: MultiValue| {
            let arguments = Arguments::new(lua, "body", &values);
            let object = arguments.object::<Self>(1, NOT_A_REQUEST)?;
            if arguments.count() != 2 {
                return one(lua, &object.0.request.borrow().body);
            }
            let body = Rc::new(arguments.text(2)?);
            let mut request = object.0.request.borrow_mut();
            request.body = body;
            request.changed.body = true;
            Ok(MultiValue::new())
        });
        methods.add_function("params", |lua, values: MultiValue| {
            params(&Arguments::new(lua, "params", &values))
        });
        methods.add_function("headers", |lua, values: MultiValue| {
            headers(&Arguments::new(lua, "headers", &values))
        });
        methods.add_function("headerList", |lua, values: MultiValue| {
            header_list(&Arguments::new(lua, "headerList", &values))
        });
    }
}

fn params(arguments: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let object = arguments.object::<RequestObject>(1, NOT_A_REQUEST)?;
    let subject = &object.0;
    match arguments.count() {
        1 => {
            let text = |value: &[u8]| Json::String(String::from_utf8_lossy(value).into_owned());
            let members = subject
                .request
                .borrow()
                .params
                .iter()
                .map(|(key, value)| (key.clone(), text(value)))
                .collect();
            new_table(arguments.lua, subject, members)
        }
        2 => {
            let key = arguments.name(2)?;
            let request = subject.request.borrow();
            let found = request.params.iter().rfind(|(known, _)| *known == key);
            one(arguments.lua, found.map(|(_, value)| value.as_slice()).unwrap_or_default())
        }
        3 => {
            let (key, value) = (arguments.name(2)?, arguments.text(3)?);
            let params = &mut subject.request.borrow_mut().params;
            params.retain(|(known, _)| *known != key);
            params.push((key, value));
            Ok(MultiValue::new())
        }
        _ => Ok(MultiValue::new()),
    }
}

fn headers(arguments: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let object = arguments.object::<RequestObject>(1, NOT_A_REQUEST)?;
    let subject = &object.0;
    match arguments.count() {
        1 => {
            let members = table_of_headers(&subject.request.borrow().headers);
            new_table(arguments.lua, subject, members)
        }
        2 => {
            let name = canonical(&arguments.text(2)?);
            one(arguments.lua, subject.request.borrow().headers.first(&name))
        }
        3 => {
            let name = canonical(&arguments.text(2)?);
            let value = header_value(arguments)?;
            let mut request = subject.request.borrow_mut();
            request.changed.headers = true;
            match value {
                Some(value) => request.headers.set(name, vec![value]),
                None => request.headers.remove(&name),
            }
            Ok(MultiValue::new())
        }
        _ => Ok(MultiValue::new()),
    }
}

fn header_list(arguments: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let object = arguments.object::<RequestObject>(1, NOT_A_REQUEST)?;
    let subject = &object.0;
    match arguments.count() {
        1 => Err(arguments.miscounted()),
        2 => {
            let name = canonical(&arguments.text(2)?);
            let values = subject.request.borrow().headers.values(&name).to_vec();
            list_of(arguments.lua, subject, &values)
        }
        3 => {
            let name = canonical(&arguments.text(2)?);
            let values = listed_values(arguments)?;
            let mut request = subject.request.borrow_mut();
            request.changed.headers = true;
            request.headers.set(name, values);
            Ok(MultiValue::new())
        }
        _ => Ok(MultiValue::new()),
    }
}

// === shared with the response ===

/// The third argument as a header's value; nil takes the header away.
pub fn header_value(arguments: &Arguments<'_>) -> mlua::Result<Option<Vec<u8>>> {
    if arguments.value(3).is_nil() { Ok(None) } else { arguments.text(3).map(Some) }
}

/// The third argument, a luaList, as the values of a header.
pub fn listed_values(arguments: &Arguments<'_>) -> mlua::Result<Vec<Vec<u8>>> {
    match arguments.value(3) {
        Value::UserData(_) => Ok(arguments.object::<ListObject>(3, NO_LIST)?.header_values()),
        _ => Err(arguments.error(NO_LIST)),
    }
}

pub fn list_of(lua: &Lua, subject: &Rc<Subject>, values: &[Vec<u8>]) -> mlua::Result<MultiValue> {
    let list = ListObject::of_texts(lua, subject, values.iter().map(Vec::as_slice))?;
    Ok(MultiValue::from_iter([Value::UserData(lua.create_userdata(list)?)]))
}

/// Headers as a luaTable has them: a list by name.
pub fn table_of_headers(headers: &HeaderMap) -> crate::json::Map {
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let list = |values: &[Vec<u8>]| {
        Json::Array(values.iter().map(|value| Json::String(text(value))).collect())
    };
    headers.iter().map(|(name, values)| (text(name), list(values))).collect()
}
