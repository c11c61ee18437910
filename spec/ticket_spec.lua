local kapture = require "kapture"
local ticket = require "kapture.ticket"
local sandbox = require "spec.support.sandbox"

local function raw()
    return {
        additional_info = {},
        history = {},
        note = "a &lt;b&gt; &amp;lt; &#39;c&#x27; &#8377; &unknown; &#xD800; &",
        task_details = {
            date = "19-04-2024 14:19",
            lastFollowUp = "2020-05-23 12:11:08",
            taskEnddate = "2020-05-23 12:37",
            callBack = "31-02-2024 10:00",
            title = "19-04-2024 14:19",
            tat = "0:1:29",
            sla = "out of sla",
            email = "",
            phone = kapture.null,
            customer_rating = 0,
            creatorName = "Kapture Dev API&apos;s",
            attachments = setmetatable({ "", kapture.null, "x&amp;y" }, kapture.array_mt),
        },
    }
end

describe("kapture.ticket", function()
    it("resolves entities, once", function()
        local t = ticket.normalize(raw())
        assert.equal("Kapture Dev API's", t.task_details.creatorName)
        assert.equal("a <b> &lt; 'c' \226\130\185 &unknown; &#xD800; &", t.note)
    end)

    it("resolves numbers as browsers do: Windows-1252, and halves of a character", function()
        for text, meant in pairs {
            ["it&#146;s &#x93;so&#148; &#128;5 &#150; &#0153;"] = "it\226\128\153s \226\128\156so\226\128\157 "
                .. "\226\130\1725 \226\128\147 \226\132\162",
            ["&#55357;&#56832;&#65;&#xD83D;&#xDE00;"] = "\240\159\152\128A\240\159\152\128",
            ["&#65;&#55357;&#56832;"] = "A\240\159\152\128",
            ["&#56832;&#55357; &#55357;x &#xDE00;&#xD83D;"] = "&#56832;&#55357; &#55357;x &#xDE00;&#xD83D;",
            ["&amp;#55357;&#56832;"] = "&#55357;&#56832;",
            ["&#160;&#159;"] = "\194\160\197\184",
        } do
            assert.equal(meant, ticket.unescape(text))
        end
    end)

    it("makes the three date forms ISO 8601, and no epoch without a zone", function()
        local d = ticket.normalize(raw()).task_details
        assert.same({ text = "19-04-2024 14:19", iso = "2024-04-19T14:19:00" }, d.date)
        assert.equal("2020-05-23T12:11:08", d.lastFollowUp.iso)
        assert.equal("2020-05-23T12:37:00", d.taskEnddate.iso)
        assert.equal("31-02-2024 10:00", d.callBack)
        assert.equal("19-04-2024 14:19", d.title)
    end)

    it("takes the zone the caller names", function()
        local function date(zone)
            return ticket.normalize(raw(), { zone = zone }).task_details.date
        end
        assert.equal("2024-04-19T14:19:00+05:30", date("+05:30").iso)
        assert.equal(1713516540, date("+05:30").epoch)
        assert.equal("2024-04-19T14:19:00Z", date("Z").iso)
        assert.equal(1713536340, date("Z").epoch)
        local seen
        local d = date(function(t)
            if t.year == 2024 then
                seen = t
            end
            return t.month >= 4 and t.month < 11 and "+02:00" or 3600
        end)
        assert.same({ year = 2024, month = 4, day = 19, hour = 14, min = 19, sec = 0 }, seen)
        assert.equal("2024-04-19T14:19:00+02:00", d.iso)
        assert.equal(1713529140, d.epoch)
    end)

    it("drops blanks and keeps what may be a value", function()
        local d = ticket.normalize(raw()).task_details
        assert.is_nil(d.email)
        assert.is_nil(d.phone)
        assert.equal(0, d.customer_rating)
        assert.same({}, ticket.normalize(raw()).history)
        assert.equal(89, d.tat)
        assert.equal("out of sla", d.sla)
        assert.equal(3, #d.attachments)
        assert.equal("x&y", d.attachments[3])
        assert.equal(kapture.array_mt, getmetatable(d.attachments))
    end)

    it("leaves the raw ticket alone", function()
        local t, before = raw(), raw()
        ticket.normalize(t, { zone = "Z" })
        assert.same(before, t)
    end)

    it("says what is wrong with its arguments", function()
        for _, case in ipairs {
            { { 1 }, "bad argument #1 to 'normalize' (table expected, got number)" },
            { { {}, 1 }, "bad argument #2 to 'normalize' (table expected, got number)" },
            { { {}, { zonne = 1 } }, "unknown option 'zonne'" },
            { { {}, { zone = "IST" } }, "option 'zone'" },
            { { {}, { zone = "+99:00" } }, "option 'zone'" },
        } do
            local ok, err = pcall(ticket.normalize, case[1][1], case[1][2])
            assert.is_false(ok)
            assert.truthy(err:find(case[2], 1, true), err)
        end
    end)

    it("works on the sandbox's tickets", function()
        local tickets = assert(kapture.get_ticket({ "713516551148", 900001, 900002 }, {
            base_url = sandbox.https,
            token = sandbox.token,
            ca_file = sandbox.ca,
            conversation_type = "all",
            history_type = "all",
        }))
        for _, t in ipairs(tickets) do
            local n = ticket.normalize(t, { zone = "+05:30" })
            assert.equal(t.task_details.ticketId, n.task_details.ticketId)
            assert.equal(t.task_details.date, n.task_details.date.text)
            assert.is_number(n.task_details.date.epoch)
        end
        assert.equal("Kapture Dev API's", ticket.normalize(tickets[1]).task_details.creatorName)
    end)
end)
