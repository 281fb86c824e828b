//! `response.load()`: what came back, as scripts read and change it.
//!
//! Follows krakend-lua, proxy/response.go (specification, section 2.26).

use std::rc::Rc;

use mlua::{IntoLuaMulti, Lua, MultiValue, Table, UserData, UserDataMethods};

use super::arguments::Arguments;
use super::data::TableId;
use super::headers::{HeaderMap, canonical};
use super::interpreter::Shared;
use super::request::{header_value, list_of, listed_values, table_of_headers};
use super::subject::Subject;
use super::tables::{TableObject, excess_message, new_table};
use crate::json::Document;
use crate::stage::{Answer, Cause, Failure};
use crate::wire::{Body, HeaderBlock};

const NOT_A_RESPONSE: &str = "response expected";

/// What scripts see of an answer.
#[derive(Default)]
pub struct Response {
    is_complete: bool,
    status: i64,
    headers: HeaderMap,
    data: Document,
    /// The data taken apart, once a script has asked for it.
    table: Option<TableId>,
    /// Empty where the answer has none, or where no script asks for it.
    body: Vec<u8>,
    has_body: bool,
    changed: Changed,
}

#[derive(Clone, Copy, Default)]
struct Changed {
    status: bool,
    headers: bool,
    body: bool,
}

/// What `response.load()` returns.
struct ResponseObject(Rc<Subject>);

impl Response {
    /// Takes an answer's parts out of it. Its body must be in memory already, if the script may ask for it.
    pub fn take(answer: &mut Answer) -> Self {
        let is_raw = answer.body.is_some();
        let body = match &mut answer.body {
            Some(Body::Bytes(bytes)) => Some(std::mem::take(bytes)),
            Some(Body::Static(bytes)) => Some(bytes.to_vec()),
            _ => None,
        };
        Self {
            is_complete: answer.is_complete,
            // Where the answer was decoded, the original does not keep the status of a success.
            status: if is_raw || answer.status != 200 { i64::from(answer.status) } else { 0 },
            headers: HeaderMap::of(answer.headers.iter()),
            data: std::mem::take(&mut answer.data),
            table: None,
            has_body: body.is_some(),
            body: body.unwrap_or_default(),
            changed: Changed::default(),
        }
    }

    /// Puts the parts back, as the script left them.
    ///
    /// # Errors
    /// Data that is too large or too deep, and statuses that no server can send.
    pub fn put_back(subject: &Subject, answer: &mut Answer) -> Result<(), Failure> {
        let response = subject.response.take();
        let mut arena = subject.arena.borrow_mut();
        answer.is_complete = response.is_complete;
        answer.data = match response.table {
            Some(table) if arena.take_changed() => {
                let members = arena.to_map(table).map_err(|excess| {
                    Failure::new(Cause::Manipulation, format!("lua: {}", excess_message(excess)))
                })?;
                Document::from_map(members)
            }
            _ => response.data,
        };
        if response.changed.status {
            answer.status = match response.status {
                // Go's server keeps its 200 for these.
                ..=0 => 200,
                status => u16::try_from(status)
                    .ok()
                    .filter(|status| (100..1000).contains(status))
                    .ok_or_else(|| {
                        Failure::new(
                            Cause::Manipulation,
                            format!("invalid WriteHeader code {status}"),
                        )
                    })?,
            };
        }
        if response.changed.headers {
            let mut headers = HeaderBlock::default();
            for (name, value) in response.headers.lines() {
                headers.push(name, value);
            }
            answer.headers = headers;
        }
        if response.has_body || response.changed.body {
            answer.body = Some(Body::Bytes(response.body));
        }
        Ok(())
    }
}

/// The table `response` with its one function.
pub fn offer(lua: &Lua, shared: &Rc<Shared>, offered: &Table) -> mlua::Result<()> {
    let shared = shared.clone();
    let load =
        lua.create_function(move |lua, _: MultiValue| Ok(ResponseObject(shared.subject(lua)?)))?;
    offered.set("response", lua.create_table_from([("load", load)])?)
}

/// A method that goes to `part` with a response as its first argument.
fn add<M: UserDataMethods<ResponseObject>>(
    methods: &mut M,
    name: &'static str,
    part: fn(&Arguments<'_>, &Rc<Subject>) -> mlua::Result<MultiValue>,
) {
    methods.add_function(name, move |lua, values: MultiValue| {
        let arguments = Arguments::new(lua, name, &values);
        let object = arguments.object::<ResponseObject>(1, NOT_A_RESPONSE)?;
        part(&arguments, &object.0)
    });
}

impl UserData for ResponseObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        add(methods, "isComplete", is_complete);
        add(methods, "statusCode", status_code);
        add(methods, "data", data);
        add(methods, "headers", headers);
        add(methods, "headerList", header_list);
        add(methods, "body", body);
    }
}

fn is_complete(arguments: &Arguments<'_>, subject: &Rc<Subject>) -> mlua::Result<MultiValue> {
    if arguments.count() == 1 {
        return subject.response.borrow().is_complete.into_lua_multi(arguments.lua);
    }
    subject.response.borrow_mut().is_complete = arguments.boolean(2)?;
    Ok(MultiValue::new())
}

fn status_code(arguments: &Arguments<'_>, subject: &Rc<Subject>) -> mlua::Result<MultiValue> {
    if arguments.count() == 1 {
        return subject.response.borrow().status.into_lua_multi(arguments.lua);
    }
    let status = arguments.whole(2)?;
    let mut response = subject.response.borrow_mut();
    response.status = status;
    response.changed.status = true;
    Ok(MultiValue::new())
}

fn data(arguments: &Arguments<'_>, subject: &Rc<Subject>) -> mlua::Result<MultiValue> {
    TableObject { subject: subject.clone(), id: open(subject) }.into_lua_multi(arguments.lua)
}

/// The table of the answer's data.
fn open(subject: &Subject) -> TableId {
    let mut response = subject.response.borrow_mut();
    if let Some(table) = response.table {
        return table;
    }
    let table = subject.arena.borrow_mut().table_of(response.data.to_map());
    response.table = Some(table);
    table
}

fn headers(arguments: &Arguments<'_>, subject: &Rc<Subject>) -> mlua::Result<MultiValue> {
    match arguments.count() {
        1 => {
            let members = table_of_headers(&subject.response.borrow().headers);
            new_table(arguments.lua, subject, members)
        }
        // Unlike that of a request, this name is taken as it is written.
        2 => {
            let name = arguments.text(2)?;
            let response = subject.response.borrow();
            arguments
                .lua
                .create_string(response.headers.first(&name))?
                .into_lua_multi(arguments.lua)
        }
        3 => {
            let name = canonical(&arguments.text(2)?);
            let value = header_value(arguments)?;
            let mut response = subject.response.borrow_mut();
            response.changed.headers = true;
            match value {
                Some(value) => response.headers.set(name, vec![value]),
                None => response.headers.remove(&name),
            }
            Ok(MultiValue::new())
        }
        _ => Ok(MultiValue::new()),
    }
}

fn header_list(arguments: &Arguments<'_>, subject: &Rc<Subject>) -> mlua::Result<MultiValue> {
    match arguments.count() {
        1 => Err(arguments.miscounted()),
        2 => {
            let name = canonical(&arguments.text(2)?);
            let values = subject.response.borrow().headers.values(&name).to_vec();
            list_of(arguments.lua, subject, &values)
        }
        3 => {
            let name = canonical(&arguments.text(2)?);
            let values = listed_values(arguments)?;
            let mut response = subject.response.borrow_mut();
            response.changed.headers = true;
            response.headers.set(name, values);
            Ok(MultiValue::new())
        }
        _ => Ok(MultiValue::new()),
    }
}

fn body(arguments: &Arguments<'_>, subject: &Rc<Subject>) -> mlua::Result<MultiValue> {
    if arguments.count() != 2 {
        let response = subject.response.borrow();
        return arguments.lua.create_string(&response.body)?.into_lua_multi(arguments.lua);
    }
    let body = arguments.text(2)?;
    let mut response = subject.response.borrow_mut();
    response.body = body;
    response.changed.body = true;
    Ok(MultiValue::new())
}
