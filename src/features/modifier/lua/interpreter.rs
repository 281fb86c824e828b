//! `Interpreter`: one Lua state of one core, with a script's code compiled once and an environment for each call.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, LuaString, StdLib, Table, VmState};

use super::error::{self, Origin, SourceMap};
use super::limits::{INSTRUCTIONS_PER_LOOK, Limits, MEMORY_BYTES_MAX, OUT_OF_TIME};
use super::natives;
use super::position::{PRELUDE, raise};
use super::script::{CHUNK_NAME, MissingSource, Script};
use super::subject::Subject;
use crate::stage::clock::Tick;
use crate::stage::{Cause, Failure};

const PRELUDE_TEXT: &str = include_str!("prelude.lua");
/// A state that holds more than this after a run is swept at once.
const SWEEP_BYTES: usize = MEMORY_BYTES_MAX / 4;

/// Puts the names of one level of scripts into a table: `request`, `response`, …
pub type Offer = fn(&Lua, &Rc<Shared>, &Table) -> mlua::Result<()>;

/// What our functions inside a Lua state share.
pub struct Shared {
    pub limits: Limits,
    current: RefCell<Option<Rc<Subject>>>,
}

impl Shared {
    /// What the running script works on.
    pub fn subject(&self, lua: &Lua) -> mlua::Result<Rc<Subject>> {
        self.current.borrow().clone().ok_or_else(|| raise(lua, "there is nothing to work on"))
    }
}

/// The pieces of a script, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Sources,
    Pre,
    Post,
}

pub struct Interpreter {
    lua: Lua,
    shared: Rc<Shared>,
    script: Arc<Script>,
    globals: Table,
    new_environment: Function,
    begin: Function,
    /// Compiled when they are first needed; a live script's sources never stay.
    sources: RefCell<Option<Sources>>,
    pre: Compiled,
    post: Compiled,
}

/// `None`: there is nothing to run.
type Compiled = mlua::Result<Option<Function>>;

#[derive(Clone)]
struct Sources {
    code: Compiled,
    text: Rc<Vec<u8>>,
    map: SourceMap,
}

impl Interpreter {
    /// A state with its libraries, its limits and its code.
    ///
    /// # Errors
    /// Only where there is no memory for it.
    pub fn new(script: &Arc<Script>, offers: &[Offer]) -> mlua::Result<Self> {
        let mut libraries = StdLib::TABLE;
        if script.open_libs {
            libraries |= StdLib::STRING | StdLib::MATH | StdLib::OS | StdLib::IO;
        }
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        lua.set_memory_limit(MEMORY_BYTES_MAX)?;
        let shared = Rc::new(Shared { limits: Limits::new(), current: RefCell::new(None) });
        let natives = natives::table(&lua, &shared, script, offers)?;
        let prelude = lua.load(PRELUDE_TEXT).set_name(format!("={PRELUDE}"));
        let (new_environment, begin) = prelude.call::<(Function, Function)>(natives)?;
        let own = shared.clone();
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK);
        lua.set_global_hook(triggers, move |_, _| match own.limits.look() {
            true => Err(mlua::Error::RuntimeError(OUT_OF_TIME.to_owned())),
            false => Ok(VmState::Continue),
        })?;
        Ok(Self {
            globals: lua.globals(),
            pre: compiled(&lua, script.pre.as_bytes()),
            post: compiled(&lua, script.post.as_bytes()),
            sources: RefCell::new(None),
            script: script.clone(),
            lua,
            shared,
            new_environment,
            begin,
        })
    }

    fn sources(&self) -> Result<Sources, MissingSource> {
        if let Some(kept) = &*self.sources.borrow() {
            return Ok(kept.clone());
        }
        let (text, map) = self.script.joined_sources()?;
        let sources = Sources { code: compiled(&self.lua, &text), text: Rc::new(text), map };
        if !self.script.is_live {
            *self.sources.borrow_mut() = Some(sources.clone());
        }
        Ok(sources)
    }

    /// Runs code in an environment. What it leaves behind is of that environment alone.
    fn call(
        &self,
        function: &Function,
        session: &Session,
        has_response: bool,
        deadline: Tick,
    ) -> mlua::Result<()> {
        self.shared.limits.begin(deadline);
        *self.shared.current.borrow_mut() = Some(session.subject.clone());
        self.lua.set_type_metatable::<LuaString>(Some(session.strings.clone()));
        let done = self.call_in(function, session, has_response);
        *self.shared.current.borrow_mut() = None;
        // Cannot fail for want of memory: the table is there.
        done.and(self.lua.set_globals(self.globals.clone()))
    }

    /// Frees what a large run has left, rather than let the next one wait for it.
    fn sweep(&self) {
        if self.lua.used_memory() > SWEEP_BYTES {
            // An error of the sweep would be one of the next run as well.
            let _ = self.lua.gc_collect();
        }
    }

    fn call_in(
        &self,
        function: &Function,
        session: &Session,
        has_response: bool,
    ) -> mlua::Result<()> {
        self.lua.set_globals(session.environment.clone())?;
        self.begin.call::<()>((&session.environment, &session.offered, has_response))?;
        function.set_environment(session.environment.clone())?;
        function.call::<()>(())
    }
}

fn compiled(lua: &Lua, text: &[u8]) -> Compiled {
    if text.is_empty() {
        return Ok(None);
    }
    lua.load(text).set_name(CHUNK_NAME).set_mode(ChunkMode::Text).into_function().map(Some)
}

/// One call's run of a script: its globals live from `pre` to `post` and no longer.
pub struct Session {
    interpreter: Rc<Interpreter>,
    environment: Table,
    offered: Table,
    strings: Table,
    /// As they were when the call began.
    sources: OnceCell<Sources>,
    pub subject: Rc<Subject>,
}

impl Session {
    /// An environment of its own for a call.
    ///
    /// # Errors
    /// When the interpreter has no memory left.
    pub fn new(interpreter: &Rc<Interpreter>, subject: Rc<Subject>) -> mlua::Result<Self> {
        // The clock of the last run has nothing to say to this one.
        interpreter.shared.limits.begin(Tick::NEVER);
        let (environment, offered, strings) = interpreter.new_environment.call(())?;
        let sources = OnceCell::new();
        Ok(Self {
            interpreter: interpreter.clone(),
            environment,
            offered,
            strings,
            sources,
            subject,
        })
    }

    fn sources(&self) -> Result<&Sources, Broken> {
        if let Some(sources) = self.sources.get() {
            return Ok(sources);
        }
        let sources = self.interpreter.sources().map_err(|MissingSource(path)| {
            let message = format!("lua: unable to load required source {path}");
            Broken { failure: Failure::new(Cause::Refused(500), message), is_spoiled: false }
        })?;
        Ok(self.sources.get_or_init(|| sources))
    }

    /// Runs one part of the script.
    ///
    /// # Errors
    /// [`Broken`] says what to tell the client, and whether the interpreter can go on.
    pub fn run(&self, part: Part, deadline: Tick) -> Result<(), Broken> {
        let interpreter = &*self.interpreter;
        let sources = self.sources()?;
        let (code, name, text) = match part {
            Part::Sources => (&sources.code, None, sources.text.as_slice()),
            Part::Pre => (&interpreter.pre, Some("pre-script"), interpreter.script.pre.as_bytes()),
            Part::Post => {
                (&interpreter.post, Some("post-script"), interpreter.script.post.as_bytes())
            }
        };
        let done = match code {
            Ok(None) => return Ok(()),
            Ok(Some(function)) => interpreter.call(function, self, part == Part::Post, deadline),
            Err(error) => Err(error.clone()),
        };
        let Err(error) = done else {
            interpreter.sweep();
            return Ok(());
        };
        if interpreter.shared.limits.has_ended() {
            return Err(Broken { failure: error::out_of_time(), is_spoiled: true });
        }
        let mut map = sources.map.clone();
        if let Some(name) = name {
            map.add(name.to_owned(), text);
        }
        let is_spoiled = matches!(error, mlua::Error::MemoryError(_));
        let failure = error::failure(&error, &Origin { map, texts: [text, &sources.text] });
        Err(Broken { failure, is_spoiled })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.subject.clear();
    }
}

/// A script that did not come to its end.
#[derive(Debug)]
pub struct Broken {
    pub failure: Failure,
    /// The interpreter ran into a limit: better a fresh one than what that left.
    pub is_spoiled: bool,
}
