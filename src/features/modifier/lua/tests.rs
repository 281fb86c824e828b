//! What scripts can do, and what they cannot: libraries, isolation, limits, words of errors.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::script::Script;
use super::subject::Subject;
use super::*;
use crate::stage::clock;

const OFFERS: &[Offer] = &[tables::offer, request::offer, response::offer];

fn runner(script: Script) -> Runner {
    Runner::new(Arc::new(script), OFFERS)
}

fn pre(code: &str) -> Script {
    Script { pre: code.to_owned(), ..Script::default() }
}

fn open(code: &str) -> Script {
    Script { open_libs: true, ..pre(code) }
}

/// Runs `pre` in a session of its own.
fn run_within(runner: &Runner, ms: u64) -> Result<(), Failure> {
    let session = runner.open(Rc::new(Subject::default()))?;
    runner.run(&session, Part::Sources, clock::now().plus_ms(ms))?;
    runner.run(&session, Part::Pre, clock::now().plus_ms(ms))
}

fn run(runner: &Runner) -> Result<(), Failure> {
    run_within(runner, 2_000)
}

fn error(script: Script) -> String {
    run(&runner(script)).expect_err("an error").into_details().message
}

/// What an expression gives, as a text.
fn value(script: fn(&str) -> Script, expression: &str) -> String {
    error(script(&format!("custom_error(tostring({expression}))")))
}

#[test]
fn numbers_are_written_as_go_writes_them() {
    for (expression, text) in [
        ("1", "1"),
        ("1.5", "1.5"),
        ("-0.5", "-0.5"),
        ("10 / 3", "3.3333333333333335"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("123456789012345678", "123456789012345680"),
        ("2 ^ 53", "9007199254740992"),
        ("1e21", "1e+21"),
        ("1234567.5", "1.2345675e+06"),
        ("0.00001", "1e-05"),
        ("1 / 0", "+Inf"),
        ("-1 / 0", "-Inf"),
        ("'n' .. 1e15", "n1000000000000000"),
        ("table.concat({1, 2.5}, ' ')", "1 2.5"),
        ("nil", "nil"),
        ("true", "true"),
    ] {
        assert_eq!(value(pre, expression), text, "{expression}");
    }
}

#[test]
fn only_harmless_libraries_are_there_unless_all_are_asked_for() {
    let types =
        "type(string) .. type(math) .. type(os) .. type(io) .. type(coroutine) .. type(debug)";
    assert_eq!(value(pre, types), "nil".repeat(6));
    assert_eq!(value(open, types), "table".repeat(6));
    for script in [pre, open] {
        assert_eq!(
            value(script, "type(table) .. type(package) .. type(require) .. type(_G)"),
            "tabletablefunctiontable"
        );
        assert_eq!(value(script, "_VERSION .. (_G._G == _G and ' own' or '')"), "Lua 5.1 own");
        assert_eq!(value(script, "newproxy"), "nil");
    }
    assert_eq!(
        error(pre("x = ('a'):upper()")),
        "attempt to index a non-table object(string) with key 'upper' (pre-script:L1)"
    );
}

#[test]
fn the_string_library_works_on_our_own_matcher() {
    for (expression, text) in [
        ("string.gsub('a-b-c', '%-', '+')", "a+b+c"),
        ("select(2, string.gsub('abc', '%w', '%0%0'))", "3"),
        ("(string.gsub('hello world', '(%w+) (%w+)', '%2 %1'))", "world hello"),
        ("(string.gsub('abc', '', '-'))", "-a-b-c-"),
        ("(string.gsub('abc', '%w*', 'x'))", "xx"),
        ("(string.gsub('$a $b', '%$(%w)', {a = 1}))", "1 $b"),
        ("(string.gsub('abc', '.', function(c) if c ~= 'b' then return c:upper() end end))", "AbC"),
        ("(string.gsub('aaa', 'a', 'b', 2))", "bba"),
        ("(string.gsub('aab', '^a', 'x'))", "xab"),
        ("string.find('banana', 'an')", "2"),
        ("select(2, string.find('banana', 'an', 3))", "5"),
        ("string.find('a.b', '.', 1, true)", "2"),
        ("string.find('abc', 'z')", "nil"),
        ("string.find('', '')", "1"),
        ("string.find('abc', 'c', -1)", "3"),
        ("string.match('id=42;', '(%d+)')", "42"),
        ("string.match('2026-11', '%d+')", "2026"),
        ("('x'):rep(3)", "xxx"),
        ("string.format('%05.1f %s %d', 3.14159, 1e15, 7)", "003.1 1000000000000000 7"),
    ] {
        assert_eq!(value(open, expression), text, "{expression}");
    }
    let code = "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end custom_error(table.concat(t, ' '))";
    assert_eq!(error(open(code)), "a1 b2");
    let code = "local n = 0 for _ in ('abc'):gmatch('') do n = n + 1 end custom_error(tostring(n))";
    assert_eq!(error(open(code)), "4");
    assert_eq!(
        error(open("string.find('a', '[')")),
        "malformed pattern (missing ']') (pre-script:L1)"
    );
}

#[test]
fn a_scripts_own_string_functions_are_methods() {
    let code = "function string:shout() return self:upper() .. '!' end custom_error(('a'):shout())";
    let runner = runner(open(code));
    assert_eq!(run(&runner).unwrap_err().message, "A!");
    // And gone by the next call.
    let other = Script {
        pre: "custom_error(tostring(('a').shout) .. tostring(string.shout))".into(),
        ..open("")
    };
    assert_eq!(error(other), "nilnil");
}

#[test]
fn nothing_is_left_for_the_next_call() {
    let code = r"
        local found = {}
        local function look(name, value) if value then found[#found + 1] = name end end
        look('global', left) look('table', table.left) look('string', string.left) look('package', package.loaded.left)
        look('api', luaTable.left) look('fenv', getfenv(0).left) look('pcall', getfenv(pcall).left)
        look('meta', getmetatable('').left) look('env', getfenv(1).left)
        left, table.left, string.left, package.loaded.left, luaTable.left = 1, 1, 1, 1, 1
        getfenv(0).left = 1 getfenv(pcall).left = 1 getmetatable('').left = 1
        loadstring('left = 1')()
        setfenv(1, {left = 1, custom_error = custom_error, table = table})
        custom_error(table.concat(found, ' ') .. '.')";
    let runner = runner(open(code));
    for _ in 0..3 {
        assert_eq!(run(&runner).unwrap_err().message, ".");
    }
}

#[test]
fn code_that_a_script_compiles_sees_the_scripts_globals() {
    let script = pre("x = 5 local f = loadstring('return x') y = f() custom_error(tostring(y))");
    assert_eq!(error(script), "5");
    assert!(value(pre, "select(2, loadstring('x ='))").contains("<eof>"));
    assert_eq!(value(pre, "loadstring('\\27Lua')"), "nil");
    let code = "local pieces = {'return ', '7'} local i = 0 custom_error(load(function() i = i + 1 return pieces[i] end)())";
    assert_eq!(error(pre(code)), "7");
}

#[test]
fn globals_live_from_one_part_to_the_next() {
    let script =
        Script { post: "custom_error('saw ' .. tostring(kept))".into(), ..pre("kept = 'it'") };
    let runner = runner(script);
    let session = runner.open(Rc::new(Subject::default())).unwrap();
    let deadline = clock::now().plus_ms(1_000);
    runner.run(&session, Part::Pre, deadline).unwrap();
    assert_eq!(runner.run(&session, Part::Post, deadline).unwrap_err().message, "saw it");
    let other = runner.open(Rc::new(Subject::default())).unwrap();
    assert_eq!(runner.run(&other, Part::Post, deadline).unwrap_err().message, "saw nil");
}

#[test]
fn calls_that_overlap_do_not_see_each_other() {
    let script = Script {
        post: "custom_error(tostring(mine) .. luaTable.mark .. ('a'):own())".into(),
        ..open(
            "counter = (counter or 0) + 1 mine = {} mine = counter luaTable.mark = 'm' function string:own() return self .. counter end",
        )
    };
    let runner = runner(script);
    let deadline = clock::now().plus_ms(2_000);
    let sessions: Vec<_> =
        (0..3).map(|_| runner.open(Rc::new(Subject::default())).unwrap()).collect();
    for session in &sessions {
        runner.run(session, Part::Pre, deadline).unwrap();
    }
    for session in sessions.iter().rev() {
        assert_eq!(runner.run(session, Part::Post, deadline).unwrap_err().message, "1ma1");
    }
}

// === limits ===

/// A script that never ends by itself ends with this failure, and soon.
fn contained(script: Script, ms: u64) -> Failure {
    let what = script.pre.clone();
    let runner = runner(script);
    let began = Instant::now();
    let failure = run_within(&runner, ms).expect_err(&what);
    assert!(began.elapsed() < Duration::from_secs(30), "took {:?}", began.elapsed());
    // The next call is served as if nothing had been.
    let session = runner.open(Rc::new(Subject::default())).unwrap();
    runner.run(&session, Part::Post, clock::now().plus_ms(1_000)).unwrap();
    failure
}

#[test]
fn endless_loops_end_at_the_deadline() {
    for code in [
        "while true do end",
        "repeat local x = 1 until false",
        "local function f() return f() end f()",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function(m) while true do end end) end",
        "local t = setmetatable({}, {__index = function(t, k) while true do end end}) local x = t.y",
        "for i = 1, 1e18 do end",
        "while true do pcall(error, 'x') end",
    ] {
        let failure = contained(pre(code), 200);
        assert_eq!(
            (failure.cause, failure.message.as_str()),
            (Cause::Deadline, "lua: the script ran out of time"),
            "{code}"
        );
    }
}

#[test]
fn endless_work_of_libraries_ends_at_the_deadline() {
    for code in [
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "string.find(('a'):rep(5000), '.-.-.-.-.-.-b')",
        "while true do pcall(string.find, ('a'):rep(5000), '.-.-.-.-.-.-b') end",
        "string.gsub(('a'):rep(20000), '.-.-.-b', '')",
        "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function(a, b) while true do end end)",
    ] {
        let failure = contained(open(code), 200);
        assert_eq!(failure.message, "lua: the script ran out of time", "{code}");
    }
}

#[test]
fn endless_memory_is_refused() {
    for code in [
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "x = ('x'):rep(1e9)",
        "x = ('x'):rep(1e6):gsub('x', ('y'):rep(1e6))",
        "local l = luaList.new() l:set(1e15, 'x')",
        "local t = luaTable.new() local s = ('x'):rep(1e6) for i = 1, 1e6 do t:set('k' .. i, s) end",
    ] {
        let failure = contained(open(code), 4_000);
        // A slow machine can come to the end of the time first.
        let is_contained = [limits::NO_MEMORY, "lua: the script ran out of time"]
            .iter()
            .any(|message| failure.message.starts_with(message));
        assert!(is_contained, "{code}: {}", failure.message);
        assert_eq!(failure.status(), 500);
    }
}

#[test]
fn endless_recursion_is_refused() {
    for code in [
        "local function f() return 1 + f() end f()",
        "local function f() coroutine.wrap(f)() end f()",
        "local function f() local ok, e = pcall(f) if not ok then error(e, 0) end end f()",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end x = t.a",
        "local function f(s) return (s:gsub('.', f)) end f('a')",
        "local s = setmetatable({}, {__tostring = function(s) return tostring(s) end}) tostring(s)",
        "local t = {} t.t = t luaTable.new():set('t', t)",
        "x = loadstring(('('):rep(100000))()",
        "local f = loadstring('return ' .. ('{'):rep(1000) .. ('}'):rep(1000)) f()",
        "string.rep('a', 1000):find(('a?'):rep(100000))",
        "local cos = {} for i = 1, 20000 do cos[i] = coroutine.create(function() local ok, e = coroutine.resume(cos[i + 1]) if not ok then error(e, 0) end end) end assert(coroutine.resume(cos[1]))",
    ] {
        let failure = contained(open(code), 4_000);
        assert_eq!(failure.status(), 500, "{code}");
    }
}

#[test]
fn what_would_stop_the_process_or_outlive_the_run_is_not_offered() {
    for code in [
        "os.exit(1)",
        "os.execute('true')",
        "io.popen('true')",
        "string.dump(function() end)",
        "debug.sethook()",
        "debug.getregistry()",
        "setmetatable(getmetatable(nil), nil)",
        "luaTable.new().x = 1",
    ] {
        assert_eq!(run(&runner(open(code))).unwrap_err().status(), 500, "{code}");
    }
    assert_eq!(value(open, "(collectgarbage('stop'))"), "nil");
}

// === errors ===

#[test]
fn errors_are_worded_as_by_gopher_lua() {
    for (code, message) in [
        ("missing()", "attempt to call a non-function object"),
        ("reqw:body(1)", "attempt to index a non-table object(nil) with key 'body'"),
        ("local x = 1 x.y = 2", "attempt to index a non-table object(number) with key 'y'"),
        ("local x = print.y", "attempt to index a non-table object(function) with key 'y'"),
        ("local x = nil + 1", "cannot perform add operation between nil and number"),
        ("local x = 2 * {}", "cannot perform mul operation between number and table"),
        ("local x = 'a' .. nil", "cannot perform concat operation between string and nil"),
        ("local x = {} .. 'a'", "cannot perform concat operation between table and string"),
        ("local x = 'a' .. true", "cannot perform concat operation between string and boolean"),
        ("local x = -'a'", "__unm undefined"),
        ("local x = #nil", "__len undefined"),
        ("local x = 1 < 'a'", "attempt to compare number with string"),
        ("local x = {} < {}", "attempt to compare table with table"),
        ("for i = 'x', 2 do end", "for statement init must be a number"),
        ("error('boom')", "boom"),
        ("assert(false)", "assertion failed!"),
        ("assert(nil, 'why')", "why"),
        ("custom_error()", "need arguments"),
        ("custom_error({})", "bad argument #1 to custom_error (string expected, got table)"),
        ("custom_error('a', 'b')", "bad argument #2 to custom_error (number expected, got string)"),
        ("luaTable.new():set('a')", "need arguments"),
        ("luaTable.new().get('a', 'b')", "bad argument #1 to get (userdata expected, got string)"),
        ("luaTable.new():nothing()", "attempt to call a non-function object"),
        ("luaTable.new().get(luaList.new(), 'a')", "response expected"),
        ("type(luaTable.new():get('a'))", "bad argument #1 to type (value expected)"),
        ("response.load()", "attempt to index a non-table object(nil) with key 'load'"),
        ("request.load():headerList('A', 'b')", "invalid header value, must be a luaList"),
        ("http_response.new('http://x')", "http_response.new is not built yet"),
    ] {
        assert_eq!(error(pre(code)), format!("{message} (pre-script:L1)"), "{code}");
    }
    assert_eq!(error(pre("lokal a = 1()")), "'a': parse error (pre-script:L1)");
    assert_eq!(error(pre("error('as it is', 0)")), "as it is");
}

#[test]
fn metamethods_of_tables_still_come_first() {
    let code = "local v = setmetatable({}, {__add = function(a, b) return 'sum' end, __concat = function(a, b) return 'both' end}) \
        custom_error((1 + v) .. (v + 1) .. ('a' .. v) .. (v .. 'a'))";
    assert_eq!(error(pre(code)), "sumsumbothboth");
}

#[test]
fn what_a_script_catches_is_a_text_with_its_position() {
    for (code, text) in [
        ("luaTable.new():set('a')", "<string>:1: need arguments"),
        ("error('x')", "<string>:1: x"),
        (
            "local a = 1 .. nil",
            "<string>:1: cannot perform concat operation between number and nil",
        ),
        ("custom_error('x', 404)", "<string>:1: x || 404"),
    ] {
        let code = format!(
            "local ok, e = pcall(function() {code} end) custom_error(type(e) .. ' ' .. tostring(e) .. '.')"
        );
        let whole = format!("string {text}.");
        let expected = whole.split(" || ").next().unwrap();
        assert_eq!(error(pre(&code)), expected, "{code}");
    }
    let code = "local ok, e = xpcall(function() luaTable.new():set('a') end, function(m) return 'H ' .. m end) custom_error(e)";
    assert_eq!(error(pre(code)), "H <string>:1: need arguments");
    let code = "local ok, e = pcall(error, {1}) custom_error(type(e))";
    assert_eq!(error(pre(code)), "table");
}

#[test]
fn joined_sources_share_their_locals_and_name_their_lines() {
    let source =
        |path: &str, text: &str| script::Source { path: path.into(), text: Some(text.into()) };
    let with = |code: &str| Script {
        sources: vec![
            source("lua/a.lua", "local shared = 'local'\nfunction first() return shared end"),
            source(
                "lua/b.lua",
                "function second() return shared .. first() end\nfunction bad()\n  nothing()\nend",
            ),
        ],
        ..pre(code)
    };
    assert_eq!(error(with("custom_error(second())")), "locallocal");
    assert_eq!(error(with("bad()")), "attempt to call a non-function object (b.lua:L3)");
    let missing = Script {
        sources: vec![script::Source { path: "none.lua".into(), text: None }],
        ..pre("x = 1")
    };
    assert_eq!(error(missing), "lua: unable to load required source none.lua");
}

#[test]
fn modules_are_found_beside_the_gateway_and_run_once_a_call() {
    let folder = std::env::temp_dir().join(format!("shoal-lua-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("counted.lua"),
        "runs = (runs or 0) + 1 return {runs = function() return runs end}",
    )
    .unwrap();
    let code = format!(
        "package.path = '{}/?.lua' local m = require('counted') require('counted') custom_error(m.runs() .. type(package.loaded.counted))",
        folder.display()
    );
    let runner = runner(pre(&code));
    for _ in 0..2 {
        assert_eq!(run(&runner).unwrap_err().message, "1table");
    }
    let message = error(pre("require('no.such')"));
    assert!(message.starts_with("module no.such not found:"), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
}
