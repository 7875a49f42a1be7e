-- Mail from countries where you know nobody is put into the folder Abroad instead of the inbox, and none at all is
-- taken from a few networks.
--
--   script.file = "/etc/ostiary/country.lua"              in ostiary.conf, then: ostiary reload
--   ostiary rules set --site site-script=on whois=on
--
-- Try it:
--   ostiary script test country.lua --ip 192.0.2.7 --whois-file whois.txt

-- Two letters each, as WHOIS has them.
local at_home = { AT = true, CH = true, DE = true }

-- Names of networks. They begin with this, in any case.
local unwanted = { "EXAMPLE-BULK", "EXAMPLE-HOSTING" }

function check(mail)
    local whois = mail.whois
    if not whois then
        return -- nobody could say, and that is nobody's fault
    end
    local network = (whois.network or ""):upper()
    for _, name in ipairs(unwanted) do
        if network:sub(1, #name) == name then
            return "reject", "no mail is taken from the network " .. network
        end
    end
    if whois.country and not at_home[whois.country] then
        return "file", "Abroad"
    end
end
