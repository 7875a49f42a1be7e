-- Counts what is odd about a client. One oddity is nothing; two, and it is asked to come again later, which programs that
-- only send spam seldom do; three, and it is refused.
--
--   ostiary rules set --site site-script=on
--
-- Try it:
--   ostiary script test suspicious.lua --ip 192.0.2.7 --helo localhost

local LATER, NEVER = 2, 3

-- Words in names that access providers give to their customers' lines.
local of_a_line = { "dyn", "dial", "dsl", "pool", "dhcp", "ppp", "broadband", "cable" }

local function oddities(mail)
    local found = {}
    local helo = mail.helo or ""
    if not mail.ptr then
        found[#found + 1] = "its address has no name"
    else
        for _, word in ipairs(of_a_line) do
            if mail.ptr:lower():find(word, 1, true) then
                found[#found + 1] = "its name is that of a private line"
                break
            end
        end
    end
    if not helo:find(".", 1, true) then
        found[#found + 1] = "it says HELO without a domain"
    elseif helo:lower() == mail.recipient:match("@(.*)$") then
        found[#found + 1] = "it says HELO with our own name"
    end
    if mail.early then
        found[#found + 1] = "it speaks before it is greeted"
    end
    for _, list in ipairs(mail.dns_lists or {}) do
        if list.listed and not list.white then
            found[#found + 1] = "it is listed by " .. list.zone
        end
    end
    return found
end

function check(mail)
    local found = oddities(mail)
    local why = table.concat(found, ", ")
    if #found >= NEVER then
        return "reject", "too much is odd about your server: " .. why
    elseif #found >= LATER then
        return "defer", "come again in a few minutes: " .. why
    end
end
