-- What a failure means in nginx, beside what the C module can know of it.
local type, ipairs = type, ipairs

local HIDDEN = " (in nginx, name it with the 'env' directive)"

-- What an environment variable is asked for, nginx hides unless told otherwise.
---@param err kapture.Error|nil
---@return kapture.Error|nil
local function explain(err)
    if type(err) ~= "table" or err.kind ~= "config" then return err end
    local function told(failure)
        if failure.message:find("environment variable", 1, true) then
            failure.message = failure.message .. HIDDEN
        end
    end
    told(err)
    for _, failure in ipairs(err.failed) do
        if failure ~= err then told(failure) end
    end
    return err
end

return explain
