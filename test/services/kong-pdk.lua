-- As much of Kong's plugin development kit, and of its sandbox, as a snippet of `pre-function` sees.
-- Arguments: the snippet, a file with the request as a Lua table, a folder for what curl is told.
-- Prints how the call ends: "pass", or the status, then one header per line.
local snippet, request_file, folder = arg[1], arg[2], arg[3]
local request = dofile(request_file)

local function lowered(map)
  local out = {}
  for name, value in pairs(map or {}) do out[name:lower()] = value end
  return out
end
local headers = lowered(request.headers)
-- Kong's tables answer to a header's name in any spelling.
local function any_case(map)
  return setmetatable(map, { __index = function(t, name) return rawget(t, tostring(name):lower()) end })
end

local function first(value)
  if type(value) == "table" then return value[1] end
  return value
end

local logged = {}
local exited = {}
local kong = {
  request = {
    get_headers = function(max)
      assert(max >= 1 and max <= 1000)
      return any_case(lowered(request.headers))
    end,
    get_header = function(name) return first(headers[name:lower()]) end,
    get_query = function(max)
      assert(max >= 1 and max <= 1000)
      return request.query or {}
    end,
  },
  response = {
    exit = function(status, body, extra)
      exited.status, exited.body, exited.headers = status, body, extra or {}
      error(exited)
    end,
  },
  log = { err = function(...) logged[#logged + 1] = table.concat({ ... }) end },
}
local ngx = { var = setmetatable({}, { __index = function(_, name) return (request.vars or {})[name] end }) }

-- lua-resty-http by means of curl: one real request, nothing quoted.
local calls = 0
local http = {
  new = function()
    local client = { timeout = 0 }
    function client:set_timeout(ms) self.timeout = ms end
    function client:request_uri(uri, options)
      calls = calls + 1
      local told = folder .. "/curl-" .. calls
      local out = assert(io.open(told, "w"))
      out:write("silent\ninclude\nurl = \"", uri, "\"\nrequest = \"", options.method, "\"\n")
      out:write("max-time = ", self.timeout / 1000, "\n")
      for name, value in pairs(options.headers) do
        assert(not (name .. value):find("[\r\n\"\\]"), "a header that breaks out")
        out:write("header = \"", name, ": ", value, "\"\n")
      end
      out:close()
      local pipe = assert(io.popen("curl --config " .. told))
      local text = pipe:read("*a")
      pipe:close()
      local status = text:match("^HTTP/%S+ (%d+)")
      if status == nil then return nil, "connection refused" end
      local answered = {}
      for name, value in text:gmatch("\n([%w%-]+): ([^\r\n]*)") do answered[name:lower()] = value end
      return { status = tonumber(status), headers = any_case(answered) }
    end
    return client
  end,
}

local sandbox = {
  kong = kong, ngx = ngx, ipairs = ipairs, pairs = pairs, type = type, tostring = tostring, pcall = pcall,
  string = string,
  require = function(name)
    if name == "resty.http" and request.sandbox_allows then return http end
    error("require '" .. name .. "' not allowed within sandbox")
  end,
}
-- Strings have methods by their metatable, in and out of the sandbox.
local source = assert(io.open(snippet)):read("*a")
for name, value in pairs(request.settings or {}) do
  source = source:gsub("local " .. name .. " = [^\n]*", function() return "local " .. name .. " = " .. value end)
end
local chunk = assert(loadstring(source, "curfew-decision"))
setfenv(chunk, sandbox)
local ok, thrown = pcall(chunk)
if ok then
  print("pass")
elseif thrown == exited then
  print(exited.status)
  print("message: " .. exited.body.message)
  for name, value in pairs(exited.headers) do print(name:lower() .. ": " .. value) end
else
  error(thrown)
end
print("calls: " .. calls)
for _, line in ipairs(logged) do print("log: " .. line) end
