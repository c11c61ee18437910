local sandbox = require "spec.support.sandbox"

local lua = arg and arg[-1] or "lua"
do -- the interpreter that runs the specs
  local i = 0
  while arg and arg[i - 1] do
    i = i - 1
  end
  lua = arg and arg[i] or lua
end

-- Runs the command in a shell: its output, its stderr, its exit code.
local function run(words, opts)
  opts = opts or {}
  local errors = os.tmpname()
  local env = "KAPTURE_BASE_URL='%s' KAPTURE_TOKEN='%s' KAPTURE_CA_FILE='%s' HOME=/nonexistent XDG_CONFIG_HOME='%s'"
  env = env:format(
    opts.base_url or sandbox.https,
    opts.token or sandbox.token,
    sandbox.ca,
    opts.config_home or "/nonexistent"
  )
  local pipe = io.popen(
    ("%s env %s %s bin/kapture %s 2>%s; echo \"exit $?\""):format(
      opts.input and ("printf '" .. opts.input .. "' |") or "",
      env,
      lua,
      words,
      errors
    )
  )
  local out = pipe:read "*a"
  pipe:close()
  local file = io.open(errors)
  local err = file:read "*a"
  file:close()
  os.remove(errors)
  local text, code = out:match "^(.-)exit (%d+)\n$"
  return text, err, tonumber(code)
end

describe("the command", function()
  it("writes tickets as NDJSON, integers and empty containers exactly", function()
    local out, err, code = run "get 713516551148"
    assert.equal(0, code, err)
    assert.truthy(out:find('"taskId":530348198,', 1, true))
    assert.truthy(out:find('"attachments":[]', 1, true))
    assert.truthy(out:find('"history":{}', 1, true))
    local _, lines = out:gsub("\n", "")
    assert.equal(1, lines)
  end)

  it("writes JSON, CSV and tables", function()
    local out = run "get -o json 713516551148"
    assert.equal("[\n{\n", out:sub(1, 4))
    out = run "get -o csv --fields task_details.ticketId,task_details.title 713516551148"
    assert.equal("task_details.ticketId,task_details.title\r\n713516551148,TEST 1\r\n", out)
    out = run "get -o table --fields task_details.ticketId,task_details.status 713516551148"
    assert.equal("ticketId      status\n713516551148  Pending\n", out)
  end)

  it("reads ids from standard input, and names the missing", function()
    local input = "5\\r\\n\\n 6,7 \\n404000000001\\n"
    local out, err, code = run("get -o csv --fields task_details.ticketId -", { input = input })
    assert.equal(0, code, err)
    assert.equal("task_details.ticketId\r\n5\r\n6\r\n7\r\n", out)
    assert.truthy(err:find("1 not known to the service: 404000000001", 1, true), err)
  end)

  it("keeps --where in its cage", function()
    local out, err, code = run [[get 5 713516551148 -o csv --fields task_details.ticketId --where 'title == "TEST 1"']]
    assert.equal("task_details.ticketId\r\n713516551148\r\n", out, err)
    assert.equal(0, code)
    for _, expression in ipairs {
      [[os.exit(7)]], [[("x"):rep(9)]], [[require "os"]], [[getmetatable("").__index]],
      [[string.rep("x", 9)]], [[load("return 1")()]], [[_G.os]],
    } do
      out, err, code = run(("get 5 --where '%s'"):format(expression))
      assert.equal(1, code, expression .. out)
      assert.truthy(err:find("--where", 1, true), err)
    end
    for _, expression in ipairs { [[(function() while true do end end)()]], [[1) os.exit(7) (2]], [[return 1]] } do
      out, err, code = run(("get 5 --where '%s'"):format(expression))
      assert.equal(2, code, expression .. out .. err)
    end
  end)

  it("takes options from a configuration file that only its owner can read", function()
    local home = os.tmpname()
    os.remove(home)
    os.execute("mkdir -p " .. home .. "/kapture")
    local path = home .. "/kapture/config"
    local file = io.open(path, "w")
    file:write("# ours\nretries = 0\n[bad]\nretries = 99\n[odd]\nretires = 1\n")
    file:close()
    os.execute("chmod 600 " .. path)
    local _, err, code = run("get 5", { config_home = home })
    assert.equal(0, code, err)
    _, err, code = run("get --profile bad 5", { config_home = home })
    assert.equal(2, code)
    assert.truthy(err:find("an integer from 0 to 20", 1, true), err)
    _, err, code = run("get --profile odd 5", { config_home = home })
    assert.equal(2, code)
    assert.truthy(err:find("unknown option 'retires'", 1, true), err)
    _, err, code = run("get --profile none 5", { config_home = home })
    assert.equal(2, code)
    assert.truthy(err:find("no profile 'none'", 1, true), err)
    os.execute("chmod 644 " .. path)
    _, err, code = run("get 5", { config_home = home })
    assert.equal(2, code)
    assert.truthy(err:find("others can read it", 1, true), err)
    os.execute("rm -rf " .. home)
  end)

  it("skips with --resume what is there, a line cut short aside", function()
    local path = os.tmpname()
    run("get 5 6 > " .. path)
    os.execute(("printf '{\"task_details\":{\"ticketId\":\"7\"' >> %s"):format(path))
    local out, err, code = run("get 5 6 7 8 -o csv --fields task_details.ticketId --resume " .. path)
    os.remove(path)
    assert.equal(0, code, err)
    assert.equal("task_details.ticketId\r\n7\r\n8\r\n", out)
  end)

  it("exits as gh does", function()
    local _, err, code = run("get 5", { token = "wrong" })
    assert.equal(4, code)
    assert.truthy(err:find("Invalid Auth Key", 1, true), err)
    assert.is_nil(err:find("wrong", 1, true))
    assert.equal(2, (select(3, run "get")))
    assert.equal(2, (select(3, run "frob")))
    assert.equal(2, (select(3, run "get 5 --retries 99")))
    assert.equal(1, (select(3, run("get 5 --retries 0", { base_url = sandbox.refused }))))
    assert.equal(1, (select(3, run "get 5 'a b' --partial -q >/dev/full")))
    assert.equal(0, (select(3, run "get 5 'a b' --partial")))
    assert.equal(1, (select(3, run "get 5 'a b'")))
    assert.equal(0, (select(3, run "doctor")))
    assert.equal(4, (select(3, run("doctor", { token = "wrong" }))))
  end)
end)
