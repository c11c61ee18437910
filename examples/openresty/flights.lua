-- One request in flight for each id, over all workers: who asks first flies, and
-- who asks meanwhile waits for what that brings.
--
-- In the shared dictionary "flights": an id's flight, by number, while it is under
-- way; and how a flight failed, for the few seconds in which its passengers look.
local dict = ngx.shared.flights

local LONGEST = 30 -- seconds: a worker that dies in flight keeps nobody longer
local PAUSE = 0.01

local flights = {}

-- Takes off for those of these ids that are not under way. Returns a flight, and
-- by id the numbers of the flights that the others are on.
function flights.begin(ids)
    local mine, others = { number = dict:incr("last", 1, 0) }, {}
    for _, id in ipairs(ids) do
        local ok = dict:add("id:" .. id, mine.number, LONGEST)
        if ok then
            mine[#mine + 1] = id
        else
            others[id] = dict:get("id:" .. id) or 0
        end
    end
    return mine, others
end

-- Lands. What it brought is in the cache, or why it brought nothing is said here.
function flights.finish(flight, failure)
    if flight.over then return end
    flight.over = true
    if failure then dict:set("end:" .. flight.number, failure, 5) end
    for _, id in ipairs(flight) do dict:delete("id:" .. id) end
end

-- Waits until that flight has landed. Returns how it failed, or nil.
function flights.wait(id, number)
    local pause = PAUSE
    while dict:get("id:" .. id) == number do
        ngx.sleep(pause)
        pause = math.min(2 * pause, 0.1)
    end
    return dict:get("end:" .. number)
end

return flights
