-- The command as people expect it to be: settings, names, columns, spreadsheets.
local kapture = require "kapture"
local command = require "spec.support.command"
local sandbox = require "spec.support.sandbox"
local system = require "spec.support.system"

local run, write = command.run, system.write

local dir
before_each(function()
  dir = system.output("mktemp -d"):match "%S+"
end)
after_each(function()
  os.execute("rm -rf " .. dir)
end)

-- One ticket with these fields of its own.
local function with_fields(fields, key)
  local specs = {}
  for name, value in pairs(fields) do
    local text = value:gsub("[^%w]", function(c)
      return ("%%%02X"):format(c:byte())
    end)
    specs[#specs + 1] = ("field,name=%s,value=%%22%s%%22"):format(name, text)
  end
  specs[#specs + 1] = { key = key or sandbox.key() }
  return { base_url = sandbox.url((table.unpack or unpack)(specs)) } -- luacheck: ignore 113
end

describe("the configuration file", function()
  local function config(text)
    os.execute("mkdir -p " .. dir .. "/kapture")
    write(dir .. "/kapture/config", text)
    os.execute("chmod 600 " .. dir .. "/kapture/config")
  end

  it("need not be where HOME is nobody's", function()
    for _, home in ipairs { "/dev/null", "/nonexistent", "/proc/1/fdinfo" } do
      local _, err, code = run("get 5", { before = "env -u XDG_CONFIG_HOME", home = home })
      assert.equal(0, code, home .. err)
    end
    assert.equal(2, (select(3, run("get 5 --profile x", { before = "env -u XDG_CONFIG_HOME", home = "/dev/null" }))))
    assert.equal(2, (select(3, run "get 5 --config /dev/null/x")))
    assert.equal(2, (select(3, run "get 5 --config /nonexistent")))
  end)

  it("may have a byte order mark, and values in quotes", function()
    config(("\239\187\191# ours\r\n[a]\r\nbase_url = \"%s\"\r\ntoken='%s'\r\nca_file = \"%s\"\r\nretries = \"0\"\r\n")
      :format(sandbox.https, sandbox.token, sandbox.ca))
    local bad = { config_home = dir, base_url = sandbox.refused, token = "wrong" }
    local _, err, code = run("get 5 --profile a", bad)
    assert.equal(0, code, err)
    config("\239\187\191retries = 99\n")
    _, err, code = run("get 5", { config_home = dir })
    assert.equal(2, code)
    assert.truthy(err:find("an integer from 0 to 20", 1, true), err)
  end)

  it("names files from the home directory", function()
    os.execute(("cp %s %s/ca.pem"):format(sandbox.ca, dir))
    config "ca_file = ~/ca.pem\n"
    local opts = { config_home = dir, home = dir, before = "env -u KAPTURE_CA_FILE" }
    local _, err, code = run("get 5", opts)
    assert.equal(0, code, err)
  end)

  it("says what it can't read the way it was meant", function()
    for line, words in pairs {
      ['token = "abc'] = "token: closing \" expected", ["token = abc # prod"] = "a comment has a line of its own",
      ["ca_file = ~root/ca.pem"] = "give the whole path", ["cert = $HOME/x.pem"] = "there are no variables",
      ["header.X-A = 'b"] = "header.X-A: closing ' expected",
    } do
      config(line .. "\n")
      local _, err, code = run("get 5", { config_home = dir })
      assert.equal(2, code, line)
      assert.truthy(err:find("config:1: ", 1, true) and err:find(words, 1, true), err)
      assert.is_nil(err:find("abc", 1, true), err)
    end
  end)
end)

describe("a name", function()
  it("that no ticket had is said", function()
    local _, err, code = run [[get 5 6 --where 'stauts == "Pending"']]
    assert.equal(0, code, err)
    assert.truthy(err:find("--where: no ticket had stauts\n", 1, true), err)
    _, err = run([[get 5 --where 'status == "stauts" and len(title) > 0 or task_details.titel ]]
      .. [[or ticket.history.x == null']])
    assert.truthy(err:find("no ticket had task_details.titel, ticket.history.x\n", 1, true), err)
    for _, expression in ipairs { "not callBack", "ticket.task_details.title and #attachments == 0 and null ~= 1",
      "({a = title}).a ~= 1.5e3 and title .. 'x'" } do
      local _, words, status = run(("get 713516551148 --where \"%s\""):format(expression))
      assert.equal(0, status, words)
      assert.equal("", words, expression)
    end
    _, err, code = run "get 5 6 --fields ticketId,titel,task_details.x,history.y"
    assert.equal(0, code, err)
    assert.equal("kapture: --fields: no ticket had titel, task_details.x, history.y\n", err)
  end)

  it("is explained where Lua's words would be of something else", function()
    for expression, words in pairs {
      ["attachments[1"] = "a ']' is missing: the '[' is never closed",
      ["(status"] = "a ')' is missing: the '(' is never closed",
      ["status == ']' and (x"] = "a ')' is missing",
      ["({1)"] = "a '}' is missing",
      ["foo)"] = "there is no '(' before this ')'",
      ["status = 'Pending'"] = "unexpected '=': == compares",
      ["status != 'Pending'"] = "~= means unequal",
      ["status == 'x' && title"] = "write and",
      ["status is null"] = "write == null, or ~= null",
      ["null > 3"] = "test for null first",
      ["null.x"] = "test for null first",
      ["nothing > 3"] = "the ticket has no nothing",
    } do
      local _, err, code = run(([[get 713516551148 --where "%s"]]):format(expression))
      assert.truthy(code ~= 0, expression)
      assert.truthy(err:find("--where: ", 1, true) and err:find(words, 1, true), expression .. "\n" .. err)
      assert.is_nil(err:find("userdata", 1, true), err)
    end
  end)

  it("is the same for --fields as for --where", function()
    assert.equal('{"task_details":{"ticketId":"5"}}\n', (run "get 5 --fields ticketId"))
    assert.equal('{"history":{}}\n', (run "get 713516551148 --fields history"))
    assert.equal('{"task_details":{"ticketId":"5"}}\n', (run "get 5 --fields ticketId --where 'title'"))
    assert.equal("ticketId,title,history\r\n713516551148,TEST 1,{}\r\n",
      (run "get 713516551148 -o csv --fields ticketId,title,history"))
    local out = run "get 713516551148 -o table --fields ticketId,status"
    assert.equal("ticketId      status\n713516551148  Pending\n", out)
  end)
end)

describe("columns", function()
  it("are as wide as a terminal shows them", function()
    local texts = { ["中文票据"] = 8, ["हिन्दी"] = -1, ["a\204\129b"] = 2, ["😀 ok"] = 5, ["plain"] = 5 }
    for text, columns in pairs(texts) do
      local out, err = run("get 713516551148 -o table --fields extra,status", with_fields { extra = text })
      local cell, blanks = out:match "\n(.-)( +)Pending\n$"
      assert.equal(text, cell, err)
      if columns > 0 then
        assert.equal(#"extra" > columns and #"extra" or columns, columns + #blanks - 2, text .. out)
        assert.equal(out:match("^extra +"), "extra" .. (" "):rep(columns + #blanks - 5))
      end
    end
    local fit = require("kapture.cli.system").fit
    assert.same({ 6, 4 }, { fit("中文", 4) })
    assert.same({ 3, 2 }, { fit("中文", 3) })
    assert.same({ 4, 2 }, { fit("a\204\129bc", 2) })
    assert.same({ 4, 4 }, { fit("\255\255ab", 9) })
    assert.is_true(select(2, fit("हिन्दी", 99)) < 6)
  end)

  it("are cut between characters", function()
    local log = os.tmpname()
    local opts = with_fields { extra = ("中"):rep(40) }
    opts.terminal, opts.columns, opts.whole = log, 20, true
    run("get 713516551148 -o table --fields extra", opts)
    local text = system.read(log):gsub("\r[^\r\n]*\27%[K", "")
    os.remove(log)
    assert.truthy(text:find("\n" .. ("中"):rep(9) .. "\226\128\166\r\n", 1, true), text)
  end)
end)

describe("CSV", function()
  it("can be plain, and safe for a spreadsheet", function()
    local words = "get 713516551148 -o csv --fields extra,creatorName"
    local opts = with_fields { extra = "=1+1" }
    local out = run(words, opts)
    assert.truthy(out:find("\r\n=1+1,Kapture Dev API&apos;s\r\n", 1, true), out)
    out = run(words .. " --plain", opts)
    assert.truthy(out:find("\r\n=1+1,Kapture Dev API's\r\n", 1, true), out)
    out = run(words .. " --plain --excel", opts)
    assert.equal("\239\187\191extra,creatorName\r\n'=1+1,Kapture Dev API's\r\n", out)
    for text, cell in pairs {
      ["+91 1"] = "'+91 1", ["@x"] = "'@x", ["-2+3"] = "'-2+3", ["-2.5"] = "-2.5", ["&#61;1"] = "'=1", ["a=1"] = "a=1",
    } do
      out = run(words .. " --plain --excel", with_fields { extra = text })
      assert.equal(cell, out:match "\n(.-),", text)
    end
    for _, bad in ipairs { "-o ndjson --plain", "-o json --excel", "--excel", "-o table --excel" } do
      local _, err, code = run("get 5 " .. bad)
      assert.equal(2, code)
      assert.truthy(err:find("is for -o csv", 1, true), err)
    end
  end)
end)

describe("the command", function()
  it("is found through a symbolic link", function()
    os.execute(("ln -s $PWD/bin/kapture %s/one; ln -s one %s/two"):format(dir, dir))
    local build = system.output("cd " .. (os.getenv "BUILD" or "build") .. " && pwd"):match "[^\n]+"
    local said = system.output(("cd / && env -u LUA_PATH -u LUA_CPATH BUILD=%s %s %s/two --version 2>&1")
      :format(build, command.lua, dir))
    assert.truthy(said:find "^kapture %d", said)
  end)

  it("repaints nothing where the terminal can't", function()
    local log, ids = os.tmpname(), ""
    for i = 1, 40 do
      ids = ids .. " " .. i
    end
    local opts = { base_url = sandbox.url "delay,ms=300", terminal = log, columns = 80, term = "TERM=dumb" }
    run("get --batch-size 4 --concurrency 1" .. ids, opts)
    local text = system.read(log)
    os.remove(log)
    assert.is_nil(text:find("\27", 1, true), text)
    assert.is_nil(text:find(" of 40", 1, true), text)
  end)

  it("leaves the sandbox's command its own options", function()
    local lua_command = ("%s bin/kapture get 713516551148 -o csv --fields ticketId"):format(command.lua)
    local out, err, code = run("sandbox " .. lua_command)
    assert.equal(0, code, err)
    assert.equal("ticketId\r\n713516551148\r\n", out)
    assert.equal(3, (select(3, run "sandbox -- sh -c 'exit 3'")))
    assert.equal(3, (select(3, run "sandbox sh -c 'exit 3'")))
  end)

  it("says where its help is", function()
    local _, err, code = run "get 5 -o xml"
    assert.equal(2, code)
    assert.truthy(err:find("'table', 'json', 'ndjson', 'csv' (see kapture get --help)", 1, true), err)
    local out
    out, err, code = run "get --help"
    assert.equal(0, code, err)
    assert.truthy(out:find("kapture get -", 1, true) and out:find("30 unless given", 1, true), out)
  end)
end)

describe("doctor", function()
  it("says what is wrong with the account", function()
    local function doctor(env, opts)
      opts = opts or {}
      opts.before = "env -u KAPTURE_BASE_URL " .. env
      return run("doctor --retries 0 --connect-timeout 2", opts)
    end
    for subdomain, words in pairs {
      ["https://acme.kapturecrm.com"] = "give only 'acme'",
      ["acme.kapturecrm.com"] = "give only 'acme'",
      ["https://Acme.kapturecrm.com:443/employee/x.html?y"] = "give only 'Acme'",
      [" acme "] = "give only 'acme'",
      ["https://crm.example.com"] = "give it as base_url",
      ["acme corp"] = "one DNS label expected",
    } do
      local out, _, code = doctor("'KAPTURE_SUBDOMAIN=" .. subdomain .. "'")
      assert.equal(1, code, out)
      assert.truthy(out:find("WRONG account: subdomain is '" .. subdomain, 1, true) and out:find(words, 1, true), out)
      assert.is_nil(out:find("ok    account", 1, true), out)
    end
    local out, _, code = doctor "KAPTURE_BASE_URL=https://nobody.invalid"
    assert.equal(1, code)
    assert.truthy(out:find("there is no host of that name: check the spelling of base_url", 1, true), out)
  end)

  it("says what each trouble with TLS asks for", function()
    local gnutls = kapture.version().tls:find "GnuTLS" -- which has one sentence for all of a chain
    for listener, words in pairs {
      wronghost = "the certificate is for another host: check the spelling of base_url",
      tls11 = "the server has no TLS 1.2",
      clientcert = "set cert and key",
      nottls = "does not speak TLS",
      expired = "this machine's clock",
      notyet = "this machine's clock",
      selfsigned = gnutls and "check ca_file" or "this machine does not know the authority",
      unknownca = gnutls and "check ca_file" or "this machine does not know the authority",
    } do
      local out, _, code = run("doctor --retries 0", { base_url = sandbox[listener] })
      assert.equal(1, code, out)
      assert.truthy(out:find(words, 1, true), listener .. ": " .. out)
    end
  end)
end)
