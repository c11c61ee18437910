-- The user's part: which ids to fetch, and what to do with each ticket.

function want(id)
    return id ~= "713000000002" -- on holiday
end

function ticket(t)
    local d = t.task_details
    if d.status == "Pending" then print(d.ticketId, d.title) end
end
