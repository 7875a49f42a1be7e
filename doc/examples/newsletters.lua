-- Sorts mail that a program sent, and stops programs among the attachments. It looks at the message, so it is asked
-- again when that is there:
--
--   ostiary rules set alice@example.org site-script=on site-script.message=on
--
-- Try it:
--   ostiary script test newsletters.lua --mail message.eml

-- The last part of a file's name.
local program = { bat = true, cmd = true, com = true, exe = true, hta = true, iso = true, js = true, lnk = true,
                  msi = true, scr = true, vbs = true }

local function program_in(mail)
    for _, attachment in ipairs(mail.attachments) do
        local ending = attachment.name:lower():match("%.(%w+)%s*$")
        if ending and program[ending] then
            return attachment.name
        end
    end
end

function check(mail)
    if mail.stage ~= "content" then
        return -- at RCPT there is nothing to see yet
    end
    local name = program_in(mail)
    if name then
        return "reject", "programs are not taken by mail: " .. name
    end
    if mail.header("list-id") then
        return "file", "Lists"
    elseif mail.header("list-unsubscribe") then
        return "file", "Newsletters"
    end
end
