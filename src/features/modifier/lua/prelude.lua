-- What a script finds when it starts. Run once per interpreter; `native` is what Rust offers (interpreter.rs).
--
-- Every call gets an environment of its own, made of copies: whatever a script writes to, it writes to its copy.
-- The functions of this file use locals only, so nothing that a script does to an environment reaches them.

local native = ...

local assert, error, getfenv, getmetatable, ipairs, next, pcall, rawget, select, setfenv, setmetatable, tostring, type, xpcall =
  assert, error, getfenv, getmetatable, ipairs, next, pcall, rawget, select, setfenv, setmetatable, tostring, type, xpcall
local concat = table.concat
local create, raw_resume = coroutine.create, coroutine.resume
local globals = getfenv(0)

-- Coroutines that resume each other use the thread's own stack, which Lua 5.1 does not count.
local RESUMES_MAX = 100
local resumes = 0

local function copy(from)
  local to = {}
  for key, value in next, from do
    to[key] = value
  end
  return to
end

-- A function that copies a table as it is now: written out, so that each copy has its full size from the start.
local function copier(from)
  from = copy(from)
  local members = {}
  for name in next, from do
    members[#members + 1] = name .. " = from." .. name
  end
  local source = "local from = ... return function() return {" .. concat(members, ", ") .. "} end"
  return assert(native.compile(source, "=[G]", globals))(from)
end

-- A run that has to end cannot be kept alive by catching its errors.
local function caught(ok, ...)
  if ok then
    return true, ...
  end
  if native.has_ended() then
    error(native.plain((...)), 0)
  end
  return false, native.plain((...))
end

local base = copy(globals)
for _, name in next, { "gcinfo", "newproxy", "coroutine", "table", "string", "math", "os", "io", "package" } do
  base[name] = nil
end
base._GOPHER_LUA_VERSION = "GopherLua 0.1"

function base.print(...)
  local texts = {}
  for i = 1, select("#", ...) do
    texts[i] = tostring((select(i, ...)))
  end
  native.print(concat(texts, "\t"))
end

function base.pcall(f, ...)
  return caught(pcall(f, ...))
end

function base.xpcall(f, handler)
  return caught(xpcall(f, function(message)
    -- Where the clock ends the run, this is called with the hook off: nobody would end the handler.
    if native.has_ended() then
      return native.plain(message)
    end
    return handler(native.plain(message))
  end))
end

function base.collectgarbage() end

function base.getmetatable(value)
  local kind = type(value)
  if kind == "table" or kind == "userdata" or (kind == "string" and native.open_libs) then
    return getmetatable(value)
  end
  return nil
end

function base.getfenv(f)
  if type(f) == "number" and f > 0 then
    f = f + 1
  elseif f == nil then
    f = 2
  end
  local environment = getfenv(f)
  return environment == globals and getfenv(0) or environment
end

-- === code that a script brings in ===

function base.loadstring(text, name)
  return native.compile(text, name or "=<string>", getfenv(0))
end

function base.load(f, name)
  local pieces = {}
  for piece in f do
    if piece == "" then
      break
    end
    pieces[#pieces + 1] = piece
  end
  return native.compile(concat(pieces), name or "=?", getfenv(0))
end

function base.loadfile(path)
  local text = native.read(path)
  if not text then
    return nil, "can not open file: " .. tostring(path)
  end
  return native.compile(text, "@" .. path, getfenv(0))
end

function base.dofile(path)
  return assert(base.loadfile(path))()
end

local function preloaded(name)
  return getfenv(0).package.preload[name] or "no field package.preload['" .. name .. "']"
end

local function from_path(name)
  local text, path = native.find(name, getfenv(0).package.path)
  if not text then
    return path
  end
  local chunk, message = native.compile(text, "@" .. path, getfenv(0))
  return chunk or error(message, 0)
end

function base.require(name)
  local package = getfenv(0).package
  local loaded = package.loaded
  if loaded[name] ~= nil then
    return loaded[name]
  end
  local tried = {}
  for _, loader in ipairs(package.loaders) do
    local found = loader(name)
    if type(found) == "function" then
      loaded[name] = true
      local result = found(name)
      if result ~= nil then
        loaded[name] = result
      end
      return loaded[name]
    end
    tried[#tried + 1] = tostring(found)
  end
  error("module " .. tostring(name) .. " not found:\n\t" .. concat(tried, "\n\t") .. ", ", 2)
end

function base.module(name, ...)
  local environment = getfenv(0)
  local loaded = environment.package.loaded
  local module = loaded[name] or rawget(environment, name) or {}
  loaded[name], environment[name] = module, module
  module._M, module._NAME = module, name
  setfenv(2, module)
  for _, option in ipairs({ ... }) do
    option(module)
  end
end

local function seeall(module)
  setmetatable(module, { __index = getfenv(0) })
end

-- === libraries ===

local function absent(name)
  return function()
    error(name .. " is not offered here", 2)
  end
end

local function resumed(...)
  resumes = resumes - 1
  return caught(...)
end

local function resume(co, ...)
  if resumes >= RESUMES_MAX then
    return false, "stack overflow"
  end
  resumes = resumes + 1
  return resumed(raw_resume(co, ...))
end

local function unwrapped(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

local libraries = { table = copy(table) }
if native.open_libs then
  local coroutines = copy(coroutine)
  coroutines.resume = resume
  function coroutines.wrap(f)
    local co = create(f)
    return function(...)
      return unwrapped(resume(co, ...))
    end
  end
  libraries.coroutine = coroutines

  local strings = copy(string)
  strings.dump = absent("string.dump")
  for name, f in next, native.patterns do
    strings[name] = f
  end
  local find_in, sub, len = native.patterns.find_in, string.sub, string.len
  strings.find_in = nil
  function strings.gmatch(text, pattern)
    local from, last_place = 1, len(text) + 1
    local function each(first, last, ...)
      if not first then
        from = nil
        return nil
      end
      -- An empty match moves on by one, or it would be found for ever.
      from = last >= first and last + 1 or first + 1
      if select("#", ...) == 0 then
        return sub(text, first, last)
      end
      return ...
    end
    return function()
      if from and from <= last_place then
        return each(find_in(text, pattern, from))
      end
    end
  end
  strings.gfind = strings.gmatch
  libraries.string = strings

  local maths = copy(math)
  local floor, random = math.floor, native.random
  function maths.random(low, high)
    if low == nil then
      return random()
    end
    if high == nil then
      low, high = 1, low
    end
    if low > high then
      error("bad argument to random (interval is empty)", 2)
    end
    return floor(low) + floor(random() * (floor(high) - floor(low) + 1))
  end
  function maths.randomseed() end
  libraries.math = maths

  local system = copy(os)
  for _, name in next, { "execute", "exit", "setlocale" } do
    system[name] = absent("os." .. name)
  end
  libraries.os = system

  local files = copy(io)
  files.popen = absent("io.popen")
  libraries.io = files

  libraries.debug = { traceback = native.traceback, getinfo = native.getinfo }
end

-- === environments ===

local input, output = native.open_libs and io.input, native.open_libs and io.output
local stdin, stdout = native.open_libs and io.stdin, native.open_libs and io.stdout

-- The base has room for what is added to each copy.
for name in next, libraries do
  base[name] = false
end
for name in next, native.offered do
  if name ~= "response" then
    base[name] = false
  end
end
base._G, base.package = false, false

local copy_base, copy_handlers, new_offered = copier(base), copier(native.string_handlers), copier(native.offered)
local copy_library, copy_offered = {}, {}
for name, members in next, libraries do
  copy_library[name] = copier(members)
end
for name, members in next, native.offered do
  if type(members) == "table" then
    copy_offered[name] = copier(members)
  end
end

-- An environment, what of it is put back before each part of a script, and the metatable of its strings. (To mend a
-- used one takes longer than to build one: every member would have to be looked at.)
local function new_environment()
  local environment = copy_base()
  local loaded = { _G = environment }
  local package = {
    loaded = loaded,
    loaders = { preloaded, from_path },
    path = "./?.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua",
    cpath = "",
    preload = {},
    seeall = seeall,
  }
  environment._G, environment.package, loaded.package = environment, package, package
  for name, library in next, copy_library do
    library = library()
    environment[name], loaded[name] = library, library
  end
  local offered = new_offered()
  for name, members in next, copy_offered do
    offered[name] = members()
  end
  local strings = copy_handlers()
  strings.__index = environment.string or strings.__index
  return environment, offered, strings
end

-- Makes an environment ready for the next part of a script. `response` exists only once there is one.
local function begin(environment, offered, has_response)
  resumes = 0
  for name, members in next, offered do
    if name ~= "response" or has_response then
      environment[name] = members
    end
  end
  if native.open_libs then
    input(stdin)
    output(stdout)
  end
end

return new_environment, begin
