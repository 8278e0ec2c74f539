-- Asks Curfew's decision endpoint about the token of a call, before Kong's own plugins look at it.
-- For the `access` phase of the plugin `pre-function`; see docs/gateways/kong.md.

-- Where Curfew answers (`decisionEndpoint.listen`).
local DECIDE = "http://127.0.0.1:8742/decide"
-- What becomes of a call while Curfew cannot answer: "open" lets it through, "closed" refuses it with 503.
local FAIL_MODE = "open"
-- Milliseconds that Curfew may take.
local TIMEOUT_MS = 500
-- Where the jwt plugin looks for tokens: its `header_names`, `uri_param_names` and `cookie_names`.
local HEADERS = { "authorization" }
local QUERY = { "jwt" }
local COOKIES = {}

-- From here on nothing needs to be changed.

local MAX_TOKEN = 8192

local function refuse(status, reason, headers)
  headers = headers or {}
  headers["X-Curfew-Reason"] = reason
  return kong.response.exit(status, { message = reason }, headers)
end

-- The tokens of a call, each once. Nil, with the reason, for what two readers could read in two ways.
local function tokens_of_call()
  local found, known = {}, {}
  local function add(token)
    if token == "" then return nil end
    -- Anything else is no token, and could add a header of its own to what Curfew is asked.
    if #token > MAX_TOKEN or not token:match("^[%w%-_%.~%+/=]+$") then return "invalid-token" end
    if not known[token] then
      known[token] = true
      found[#found + 1] = token
    end
    return nil
  end

  -- Two headers of one name reach plugins as a table, or as the first of them.
  local headers = kong.request.get_headers(1000)
  for _, name in ipairs(HEADERS) do
    local value = headers[name]
    if type(value) == "table" then return nil, "ambiguous-identity" end
    value = value or kong.request.get_header(name)
    if type(value) == "string" then
      -- Kong's jwt plugin takes what follows "Bearer" wherever it stands; here it must stand first.
      if value:lower():find("bearer%s") then
        local token = value:match("^%s*[Bb][Ee][Aa][Rr][Ee][Rr]%s+(%S+)%s*$")
        if token == nil then return nil, "ambiguous-identity" end
        local fault = add(token)
        if fault then return nil, fault end
      elseif value:match("^[%w%-_]+%.[%w%-_]+%.[%w%-_]*$") then
        local fault = add(value)
        if fault then return nil, fault end
      end
    end
  end

  if #QUERY > 0 then
    local query = kong.request.get_query(1000)
    for _, name in ipairs(QUERY) do
      local value = query[name]
      if type(value) == "table" then return nil, "ambiguous-identity" end
      if type(value) == "string" then
        local fault = add(value)
        if fault then return nil, fault end
      end
    end
  end

  for _, name in ipairs(COOKIES) do
    local value = ngx.var["cookie_" .. name]
    if type(value) == "string" then
      local fault = add(value)
      if fault then return nil, fault end
    end
  end
  return found
end

local function unanswered(why)
  kong.log.err("Curfew's decision endpoint: ", why)
  if FAIL_MODE == "open" then return nil end
  return refuse(503, "decision-unavailable")
end

local function ask(http, token)
  local client = http.new()
  client:set_timeout(TIMEOUT_MS)
  local answer, err = client:request_uri(DECIDE, {
    method = "GET",
    headers = { ["Authorization"] = "Bearer " .. token },
    keepalive_timeout = 60000,
    keepalive_pool = 64,
  })
  if not answer then return unanswered(err or "no answer") end
  local status = answer.status
  if status == 200 then return nil end
  if status ~= 401 and status ~= 403 and status ~= 429 then return unanswered("status " .. tostring(status)) end
  local reason = answer.headers["X-Curfew-Reason"]
  local headers = {}
  -- The id of the decision tells Curfew, in the log, its own refusals from those of others.
  for _, name in ipairs({ "X-Curfew-Decision", "Retry-After", "WWW-Authenticate" }) do
    local value = answer.headers[name]
    if type(value) == "string" then headers[name] = value end
  end
  return refuse(status, type(reason) == "string" and reason or "refused", headers)
end

local tokens, fault = tokens_of_call()
if tokens == nil then return refuse(401, fault) end
if #tokens == 0 then return end
local loaded, http = pcall(require, "resty.http")
if not loaded then return unanswered("resty.http may not be loaded: see untrusted_lua_sandbox_requires") end
for _, token in ipairs(tokens) do
  -- A refusal ends the call: kong.response.exit does not return in Kong.
  local refused = ask(http, token)
  if refused ~= nil then return refused end
end
