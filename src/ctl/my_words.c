#include "ctl/my_words.h"

#include <stddef.h>
#include <string.h>

static const struct my_words words[] = {
    {"rules list", "Explains the rules that your door can have, or one of them with its settings.",
     "Says what the white list does, and what it can be set to."},
    {"rules show", "Shows the settings in force at your door, and whether you, your domain or the site set them.",
     "Shows what you or others have set; with --all also what nobody has changed."},
    {"rules set", "Sets rules of your door, or of one of your addresses.",
     "From then on only people on your white list, and those whom you have written to, get through to you."},
    {"rules unset", "Takes settings of yours away, so that those of your domain or the site count again.",
     "Your door then lets everybody knock again, as far as the site does."},
    {"rules test", "Says what your door would answer to a sender, and why, without any mail being sent.",
     "Says whether bob, from that machine, would get through to you, and which rule says so."},
    {"rules replay",
     "Says what other rules would have done to your mail of the last weeks: what is lost, what stopped.",
     "Says how many of your letters of the last 30 days that rule would have refused, and which of them you had read."},
    {"list add", "Puts senders on your white list or your black list.",
     "Mail from bob, and from everybody at example.com, gets through to you."},
    {"list remove", "Takes senders off one of your lists.", "Bob is no longer let in for being on your white list."},
    {"list show", "Shows who stands on your lists, or on one of them.", "Shows who is on your white list."},
    {"list import", "Puts the senders that a file names on one of your lists, one a line.",
     "Whoever stands in the file is kept out from then on."},
    {"list export", "Writes one of your lists as text that \"list import\" reads.",
     "Prints your white list, one sender a line, to be kept."},
    {"passcode add", "Makes a passcode for somebody who writes to you, in place of what they had.",
     "Prints the code that Aunt May says behind your address, until the end of 2027."},
    {"passcode list", "Shows who has a passcode of yours.", "Shows the names; with --codes the digits, too."},
    {"passcode revoke", "Takes somebody's passcode away.", "Aunt May's code lets nobody in any more."},
    {"code-for", "Keeps the passcode that somebody gave you: it is said behind their address when you write to them.",
     "Asks for the code that bob gave you, and keeps it."},
    {"address add", "Makes an address of yours that is good for a time, or for certain senders.",
     "Makes an address that nobody guesses, for one shop, which nobody else can use, and the shop for 90 days only."},
    {"address list", "Lists these addresses of yours.", "Shows each, who may write to it, and until when."},
    {"address remove", "Forgets one: it is then an address with a detail like any other.",
     "What is sent to that address gets the answer that your rules give to all."},
    {"allow", "Lets in what was kept out of your door under a reference: the change is shown before it is made.",
     "The reference stands in the refusal that the sender got; that sender, from there, gets through from then on."},
    {"history", "Shows what was changed at your door, by whom and when, the newest first.",
     "Each change has a number, by which 'ostiary my undo' takes it back."},
    {"undo", "Takes a change of your door back: that of this number, or the last one.",
     "What change 17 of the history did is undone; without a number, what you did last."},
    {"ledger", "Lists the attempts to reach you, newest first: what became of each, why, and its reference.",
     "Shows whom your door has refused in the last week."},
    {"explain", "Explains what happened to mail for you: by which rule, who set it, and how to let such mail in.",
     "The reference stands in the refusal that the sender got, and in 'ostiary my ledger'."},
    {"remote add", "Has your mail fetched from your account at another provider (POP3).",
     "Mail that comes there is yours here, too, and stays there for a week; \"work\" is what it is called."},
    {"remote set", "Changes it; asks for the password where the server is another, or with --password-stdin.",
     "New mail is looked for there every five minutes."},
    {"remote remove", "Fetches from there no more; mail that was fetched stays.",
     "Nothing is fetched from \"work\" any more."},
    {"remote list", "Shows from where your mail is fetched, when it was last and is next, and what went wrong.",
     "Shows all of them."},
    {"remote fetch", "Fetches at once, from all of yours or from one.",
     "Waits until it is done, and shows how far it is."},
};

const struct my_words *my_words_get(const char *name)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    return NULL;
}
