#include "smtp_rows.h"

#define GREET "S: 220 mx.test ESMTP\nC: EHLO us.test\n"
#define BARE GREET "S: 250 mx.test\n"
#define PIPELINING GREET "S: 250-mx.test\nS: 250-SIZE 200000\nS: 250 PIPELINING\n"
#define CHUNKING GREET "S: 250-mx.test\nS: 250-CHUNKING\nS: 250 PIPELINING\n"
#define MAIL "C: MAIL FROM:<s@y>\n"
#define TEXT "C: Subject: t\nC: \nC: ..dot\nC: .\n"
#define CHUNK "C: BDAT 20 LAST\nC: Subject: t\nC: \nC: .dot\n"
#define UNDER_WAY MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\nN: 30000\n"
#define QUIT "C: QUIT\nS: 221 bye\n"
#define TLS GREET "S: 250-mx.test\nS: 250-STARTTLS\nS: 250 AUTH PLAIN\nC: STARTTLS\nP:\n"
#define AGAIN(offer) "S: 220 go\nT:\nC: EHLO us.test\nS: 250-mx.test\nS: 250 " offer "\n"

const struct smtp_row smtp_rows[] = {
    /* ---- The beginning ---- */
    {"HELO for who knows no EHLO",
     "S: 220 old\nC: EHLO us.test\nS: 500 what?\nC: HELO us.test\nS: 250 old\n" MAIL "P:\nS: 250 ok\n"
     "C: RCPT TO:<a@x>\nP:\nS: 250 ok\nC: DATA\nP:\nS: 354 go\n" TEXT "S: 250 kept\n" QUIT,
     "o1q", "o=0; 1=0 [250 kept] sent; q=0"},
    {"a busy greeting", "S: 421 4.3.2 busy\n", "o", "o=EREMOTEIO for 421 4.3.2 busy"},
    {"a refusing greeting", "S: 554-5.7.1 not\nS: 554 5.7.1 you\nW:\n", "o", "o=EREMOTEIO for 554 5.7.1 not you"},
    {"an odd greeting", "S: 250 hello\nW:\n", "o", "o=EPROTO"},
    {"no SMTP", "S: SSH-2.0-x\nW:\n", "o", "o=EPROTO"},
    {"no greeting", "X:\n", "o", "o=ENODATA"},
    {"half a greeting", "R: 220 mx\nX:\n", "o", "o=ENODATA"},
    {"line ends of Unix", "R: 220-mx\\n220 mx\\n\nC: EHLO us.test\nR: 250-mx\\n250 DSN\\n\n" QUIT, "oq", "o=0; q=0"},
    {"EHLO and HELO refused", GREET "S: 550 5.7.1 who?\nC: HELO us.test\nS: 550 5.7.1 no\nW:\n", "o",
     "o=EREMOTEIO for 550 5.7.1 no"},
    {"EHLO deferred", GREET "S: 451 4.3.0 later\nW:\n", "o", "o=EREMOTEIO for 451 4.3.0 later"},
    {"EHLO answered with 354", GREET "S: 354 go\nW:\n", "o", "o=EPROTO"},
    {"421 to EHLO", GREET "S: 421 gone\n", "o", "o=EREMOTEIO for 421 gone"},
    {"the end instead of a bye", BARE "C: QUIT\nX:\n", "oq", "o=0; q=0"},

    /* ---- Envelope and DATA, one by one ---- */
    {"no octets",
     BARE "C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 kept\n", "o0",
     "o=0; 0=0 [250 kept] sent"},
    {"line ends that lack",
     BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\nC: a\nC: ..\nC: b\nC: .\nS: 250 kept\n",
     "om", "o=0; m=0 [250 kept] sent"},
    {"MAIL refused, and the next one taken",
     BARE MAIL "P:\nS: 550 5.7.1 not you\nC: RSET\nP:\nS: 250 ok\n" MAIL
               "S: 250 ok\nC: RCPT TO:<a@x>\nS: 251 ok\nC: DATA\n"
               "S: 354 go\n" TEXT "S: 250 2.0.0 kept\n" MAIL "S: 452 full\n" QUIT,
     "o111q", "o=0; 1=0 [550 5.7.1 not you]; 1=0 [250 2.0.0 kept] sent; 1=0 [452 full]; q=0"},
    {"one refused among the good",
     BARE MAIL
     "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: RCPT TO:<b@x>\nS: 550 5.1.1 who?\nC: RCPT TO:<c@x>\nS: 250 ok\n"
     "C: DATA\nS: 354 go\n" TEXT "S: 250 2.0.0 kept\n",
     "o3", "o=0; 3=0 [250 2.0.0 kept] [550 5.1.1 who?] [250 2.0.0 kept] sent"},
    {"all refused: no DATA",
     BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 550 a\nC: RCPT TO:<b@x>\nS: 450 b\nC: RCPT TO:<c@x>\nS: 550 c\n" QUIT,
     "o3q", "o=0; 3=0 [550 a] [450 b] [550 c]; q=0"},
    {"DATA refused",
     BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nP:\nS: 451 4.3.1 full\nC: RSET\nS: 250 ok\n" MAIL
               "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\n" TEXT "S: 250 kept\n",
     "o11", "o=0; 1=0 [451 4.3.1 full]; 1=0 [250 kept] sent"},
    {"the end of data refused: no RSET is due",
     BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\n" TEXT "S: 554 5.7.1 spam\n" MAIL
               "S: 450 later\n" QUIT,
     "o11q", "o=0; 1=0 [554 5.7.1 spam] sent; 1=0 [450 later]; q=0"},
    {"354 to RCPT", BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 354 go\nW:\n", "o1", "o=0; 1=EPROTO [unknown]"},
    {"250 to DATA", BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 250 ok\nW:\n", "o1",
     "o=0; 1=EPROTO [unknown]"},
    {"354 to the end of data",
     BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\n" TEXT "S: 354 go on\nW:\n", "o1",
     "o=0; 1=EPROTO [unknown] sent"},

    /* ---- Pipelining: the server reads all before it says a word ---- */
    {"in one write",
     PIPELINING
     "C: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: RCPT TO:<b@x>\nC: RCPT TO:<c@x>\nC: DATA\nP:\nS: 250 ok\n"
     "S: 250 ok\nS: 550-5.1.1 who\nS: 550 5.1.1 is b?\nS: 250 ok\nS: 354 go\n" TEXT "S: 250 kept\n" QUIT,
     "o3q", "o=0; 3=0 [250 kept] [550 5.1.1 who is b?] [250 kept] sent; q=0"},
    {"all refused, but DATA taken: an empty message",
     PIPELINING
     "C: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: DATA\nS: 250 ok\nS: 550 no\nS: 354 go\nC: .\n"
     "S: 554 nobody\nC: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" TEXT
     "S: 250 kept\n",
     "o11", "o=0; 1=0 [550 no] sent; 1=0 [250 kept] sent"},
    {"all refused, and the empty message taken: that makes nobody a recipient",
     PIPELINING "C: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: DATA\nS: 250 ok\nS: 550 no\nS: 354 go\nC: .\n"
                "S: 250 kept\n" QUIT,
     "o1q", "o=0; 1=0 [550 no] sent; q=0"},
    {"MAIL refused, all else with it; RSET travels with the next",
     PIPELINING
     "C: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: RCPT TO:<b@x>\nC: RCPT TO:<c@x>\nC: DATA\n"
     "S: 451 4.7.1 grey\nS: 503 a\nS: 503 b\nS: 503 c\nS: 503 d\n"
     "C: RSET\nC: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n" TEXT
     "S: 250 kept\n" QUIT,
     "o31q", "o=0; 3=0 [451 4.7.1 grey] [451 4.7.1 grey] [451 4.7.1 grey]; 1=0 [250 kept] sent; q=0"},
    {"RSET refused",
     PIPELINING "C: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: DATA\nS: 550 a\nS: 503 b\nS: 503 c\n"
                "C: RSET\nC: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: DATA\nS: 500 what?\nW:\n",
     "o11", "o=0; 1=0 [550 a]; 1=EPROTO for 500 what? [unknown]"},
    {"a probe, and a message behind it",
     PIPELINING "C: MAIL FROM:<s@y> SIZE=0\nC: RCPT TO:<a@x>\nP:\nS: 250 ok\nS: 250 2.1.5 yes\n"
                "C: RSET\nC: MAIL FROM:<s@y> SIZE=0\nC: RCPT TO:<a@x>\nS: 250 ok\nS: 250 ok\nS: 550 5.1.1 no\n"
                "C: RSET\nC: MAIL FROM:<s@y> SIZE=0\nC: RCPT TO:<a@x>\nS: 250 ok\nS: 550 not you\nS: 503 no\n" QUIT,
     "opppq", "o=0; p=0 [250 2.1.5 yes]; p=0 [550 5.1.1 no]; p=0 [unknown]; q=0"},
    {"larger than the SIZE of the peer", GREET "S: 250-mx\nS: 250 SIZE 10\n" QUIT, "o1q",
     "o=0; 1=0 [552 5.3.4 The message is larger than the next server takes (ours)]; q=0"},
    {"large, by DATA",
     PIPELINING
     "C: MAIL FROM:<s@y> SIZE=100000\nC: RCPT TO:<a@x>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nN: 100000\nC: .\n"
     "S: 250 kept\n",
     "oL", "o=0; L=0 [250 kept] sent"},

    /* ---- Chunks ---- */
    {"in one flight",
     CHUNKING MAIL "C: RCPT TO:<a@x>\n" CHUNK "P:\nS: 250 ok\nS: 250 ok\nS: 250 kept\n" MAIL "C: RCPT TO:<a@x>\n" CHUNK
                   "P:\nS: 250 ok\nS: 250 ok\nS: 250 kept\n" QUIT,
     "o11q", "o=0; 1=0 [250 kept] sent; 1=0 [250 kept] sent; q=0"},
    {"in one flight, one refused",
     CHUNKING MAIL "C: RCPT TO:<a@x>\nC: RCPT TO:<b@x>\nC: RCPT TO:<c@x>\n" CHUNK
                   "S: 250 ok\nS: 250 ok\nS: 550 b\nS: 452 c\nS: 250 kept\n",
     "o3", "o=0; 3=0 [250 kept] [550 b] [452 c] sent"},
    {"in one flight, all refused",
     CHUNKING MAIL "C: RCPT TO:<a@x>\n" CHUNK "S: 250 ok\nS: 550 a\nS: 503 nobody\nC: RSET\n" MAIL
                   "C: RCPT TO:<a@x>\n" CHUNK "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 kept\n",
     "o11", "o=0; 1=0 [550 a] sent; 1=0 [250 kept] sent"},
    {"in one flight, MAIL refused", CHUNKING MAIL "C: RCPT TO:<a@x>\n" CHUNK "S: 550 m\nS: 503 a\nS: 503 no\n" QUIT,
     "o1q", "o=0; 1=0 [550 m] sent; q=0"},
    {"in one flight, the message refused: RSET is due (RFC 3030 section 2)",
     CHUNKING MAIL "C: RCPT TO:<a@x>\n" CHUNK "S: 250 ok\nS: 250 ok\nS: 554 5.6.0 bad\nC: RSET\n" MAIL
                   "C: RCPT TO:<a@x>\n" CHUNK "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 kept\n",
     "o11", "o=0; 1=0 [554 5.6.0 bad] sent; 1=0 [250 kept] sent"},
    {"no octets, in one flight",
     CHUNKING "C: MAIL FROM:<>\nC: RCPT TO:<a@x>\nC: BDAT 0 LAST\nS: 250 ok\nS: 250 ok\nS: 250 kept\n", "o0",
     "o=0; 0=0 [250 kept] sent"},
    {"large, by chunks",
     CHUNKING MAIL "C: RCPT TO:<a@x>\nP:\nS: 250 ok\nS: 250 ok\nC: BDAT 90000\nN: 90000\nC: BDAT 10000 LAST\nN: 10000\n"
                   "S: 250 ok\nS: 250 kept\n",
     "oL", "o=0; L=0 [250 kept] sent"},
    {"large, by chunks, all refused", CHUNKING MAIL "C: RCPT TO:<a@x>\nS: 250 ok\nS: 550 no\n" QUIT, "oLq",
     "o=0; L=0 [550 no]; q=0"},
    {"chunks without pipelining: each waits",
     GREET "S: 250-mx\nS: 250 CHUNKING\n" MAIL
           "P:\nS: 250 ok\nC: RCPT TO:<a@x>\nP:\nS: 250 ok\nC: BDAT 90000\nN: 90000\nP:\n"
           "S: 250 ok\nC: BDAT 10000 LAST\nN: 10000\nP:\nS: 250 kept\n",
     "oL", "o=0; L=0 [250 kept] sent"},
    {"chunks without pipelining: the first is refused",
     GREET "S: 250-mx\nS: 250 CHUNKING\n" MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: BDAT 90000\nN: 90000\nP:\n"
           "S: 552 5.3.4 large\nC: RSET\nS: 250 ok\n" MAIL "S: 450 later\n" QUIT,
     "oL1q", "o=0; L=0 [552 5.3.4 large]; 1=0 [450 later]; q=0"},
    {"the first of two chunks under way is refused",
     CHUNKING MAIL "C: RCPT TO:<a@x>\nS: 250 ok\nS: 250 ok\nC: BDAT 90000\nN: 90000\nC: BDAT 10000 LAST\nN: 10000\n"
                   "S: 452 4.3.1 full\nS: 503 no\n" QUIT,
     "oLq", "o=0; L=0 [452 4.3.1 full] sent; q=0"},

    /* ---- Parameters ---- */
    {"8-bit offered", GREET "S: 250-mx\nS: 250 8BITMIME\nC: MAIL FROM:<s@y> BODY=8BITMIME\nS: 450 later\n" QUIT, "o8q",
     "o=0; 8=0 [450 later]; q=0"},
    {"8-bit not offered", BARE QUIT, "o8q",
     "o=0; 8=0 [554 5.6.3 The next server does not take 8-bit messages, and this is one (ours)]; q=0"},
    {"8-bit not offered nor there", BARE MAIL "S: 450 later\n" QUIT, "osq", "o=0; s=0 [450 later]; q=0"},
    {"SMTPUTF8 offered",
     GREET "S: 250-mx\nS: 250-8BITMIME\nS: 250 SMTPUTF8\nC: MAIL FROM:<s\xc3\xa4@y> BODY=8BITMIME SMTPUTF8\nS: 250 ok\n"
           "C: RCPT TO:<\xc3\xa4@x>\nS: 550 a\nC: RCPT TO:<b@x>\nS: 550 b\n" QUIT,
     "ouq", "o=0; u=0 [550 a] [550 b]; q=0"},
    {"SMTPUTF8 not offered", BARE QUIT, "ouq",
     "o=0; u=0 [550 5.6.7 The next server does not take internationalised mail (SMTPUTF8) (ours)] "
     "[550 5.6.7 The next server does not take internationalised mail (SMTPUTF8) (ours)]; q=0"},
    {"DSN offered; what is no ORCPT is left out",
     GREET "S: 250-mx\nS: 250 DSN\nC: MAIL FROM:<s@y> RET=HDRS ENVID=id+2B7\nS: 250 ok\n"
           "C: RCPT TO:<a@x> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2Ba@x\nS: 550 a\nC: RCPT TO:<b@x> NOTIFY=NEVER\nS: "
           "550 b\n" QUIT,
     "odq", "o=0; d=0 [550 a] [550 b]; q=0"},
    {"DSN not offered", BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 550 a\nC: RCPT TO:<b@x>\nS: 550 b\n" QUIT, "odq",
     "o=0; d=0 [550 a] [550 b]; q=0"},
    {"passcodes; what is none is left out",
     GREET "S: 250-mx\nS: 250 DSN\nC: MAIL FROM:<s@y>\nS: 250 ok\nC: RCPT TO:<a@x> 1234 NOTIFY=NEVER\nS: 550 a\n"
           "C: RCPT TO:<b@x>\nS: 550 b\nC: RCPT TO:<c@x>\nS: 550 c\nC: RCPT TO:<d@x> 00\nS: 550 d\n" QUIT,
     "ocq", "o=0; c=0 [550 a] [550 b] [550 c] [550 d]; q=0"},
    {"addresses that can't be sent",
     PIPELINING
     "C: MAIL FROM:<s@y> SIZE=3\nC: RCPT TO:<\"a>b\"@x>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: x\nC: .\n"
     "S: 250 kept\n",
     "oh",
     "o=0; h=0 [553 5.1.3 The address can't be sent in any command (ours)] "
     "[550 5.6.7 The address needs SMTPUTF8, and the message came without (ours)] [250 kept] "
     "[553 5.1.3 The address can't be sent in any command (ours)] sent"},

    /* ---- Ends in the middle ---- */
    {"gone after MAIL", BARE MAIL "X:\n", "o1", "o=0; 1=ENODATA [unknown]"},
    {"gone after RCPT", BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nX:\n", "o1", "o=0; 1=ENODATA [unknown]"},
    {"gone among recipients: what was refused stays so",
     PIPELINING "C: MAIL FROM:<s@y> SIZE=20\nC: RCPT TO:<a@x>\nC: RCPT TO:<b@x>\nC: RCPT TO:<c@x>\nC: DATA\nS: 250 ok\n"
                "S: 250 ok\nS: 550 b\nX:\n",
     "o3", "o=0; 3=ENODATA for 550 b [unknown] [550 b] [unknown]"},
    {"gone after DATA", BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nX:\n", "o1",
     "o=0; 1=ENODATA [unknown]"},
    {"gone after the message: nobody knows",
     BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\n" TEXT "X:\n", "o1",
     "o=0; 1=ENODATA [unknown] sent"},
    {"gone in one flight: nobody knows", CHUNKING MAIL "C: RCPT TO:<a@x>\n" CHUNK "S: 250 ok\nS: 250 ok\nX:\n", "o1",
     "o=0; 1=ENODATA [unknown] sent"},
    {"421 to MAIL", BARE MAIL "S: 421 4.3.2 down\nW:\n", "o1", "o=0; 1=EREMOTEIO for 421 4.3.2 down [421 4.3.2 down]"},
    {"421 to the second RCPT", BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: RCPT TO:<b@x>\nS: 421 down\nW:\n",
     "o3", "o=0; 3=EREMOTEIO for 421 down [unknown] [421 down] [unknown]"},
    {"421 to the end of data",
     BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\n" TEXT "S: 421 down\nW:\n", "o1",
     "o=0; 1=EREMOTEIO for 421 down [421 down] sent"},
    {"no reply to MAIL", BARE MAIL "S: hello\nW:\n", "o1", "o=0; 1=EPROTO [unknown]"},
    {"a message that can't be read", BARE MAIL "S: 250 ok\nC: RCPT TO:<a@x>\nS: 250 ok\nC: DATA\nS: 354 go\nW:\n", "of",
     "o=0; f=EIO [unknown]"},
    {"a message that can't be read, in one flight: nothing of it was said", CHUNKING "W:\n", "of",
     "o=0; f=EIO [unknown]"},

    /* ---- Refused on its way, by a peer that does not listen to its end ---- */
    {"DATA, too large", BARE UNDER_WAY "S: 552 5.3.4 large\nX:\n", "oH",
     "o=0; H=EREMOTEIO for 552 5.3.4 large [552 5.3.4 large]"},
    {"DATA, and down", BARE UNDER_WAY "S: 421-4.3.2 going\nS: 421 4.3.2 down\nX:\n", "oH",
     "o=0; H=EREMOTEIO for 421 4.3.2 going down [421 4.3.2 going down]"},
    {"DATA, and gone without a word", BARE UNDER_WAY "X:\n", "oH", "o=0; H=EPIPE [unknown]"},
    {"DATA, and half a word", BARE UNDER_WAY "R: 552 5.3\nX:\n", "oH", "o=0; H=EPIPE [unknown]"},
    {"DATA, and no SMTP", BARE UNDER_WAY "S: oh\nS: 552 5.3.4 large\nX:\n", "oH", "o=0; H=EPROTO [unknown]"},
    {"DATA, taken before its end: by nobody", BARE UNDER_WAY "S: 250 kept\nX:\n", "oH", "o=0; H=EPIPE [unknown]"},
    {"under TLS", TLS AGAIN("DSN") UNDER_WAY "S: 552 5.3.4 large\nX:\n", "otH",
     "o=0; t=0; H=EREMOTEIO for 552 5.3.4 large [552 5.3.4 large]"},
    {"the first chunk",
     CHUNKING MAIL "C: RCPT TO:<a@x>\nS: 250 ok\nS: 250 ok\nC: BDAT 90000\nN: 100\nS: 552 5.3.4 large\nX:\n", "oH",
     "o=0; H=EREMOTEIO for 552 5.3.4 large [552 5.3.4 large]"},
    {"the second chunk",
     CHUNKING MAIL "C: RCPT TO:<a@x>\nS: 250 ok\nS: 250 ok\nC: BDAT 90000\nN: 90000\nS: 250 ok\nC: BDAT 90000\nN: 100\n"
                   "S: 452 4.3.1 full\nX:\n",
     "oH", "o=0; H=EREMOTEIO for 452 4.3.1 full [452 4.3.1 full]"},
    {"in one flight, one refused, and the message",
     CHUNKING MAIL "C: RCPT TO:<a@x>\nC: RCPT TO:<b@x>\nC: BDAT 30000 LAST\nN: 100\nS: 250 ok\nS: 550 a\nS: 250 ok\n"
                   "S: 554 5.7.1 no\nX:\n",
     "oF", "o=0; F=EREMOTEIO for 554 5.7.1 no [550 a] [554 5.7.1 no]"},
    {"in one flight, and gone after the envelope",
     CHUNKING MAIL
     "C: RCPT TO:<a@x>\nC: RCPT TO:<b@x>\nC: BDAT 30000 LAST\nN: 100\nS: 250 ok\nS: 550 a\nS: 250 ok\nX:\n",
     "oF", "o=0; F=EPIPE for 550 a [550 a] [unknown]"},

    /* ---- TLS and AUTH ---- */
    {"STARTTLS", TLS AGAIN("DSN") QUIT, "otq", "o=0; t=0; q=0"},
    {"STARTTLS, verified", TLS AGAIN("DSN") QUIT, "ovq", "o=0; v=0; q=0"},
    {"STARTTLS, another's certificate", TLS "S: 220 go\nF:\n", "ow", "o=0; w=EKEYREJECTED"},
    {"STARTTLS not offered", BARE QUIT, "otq", "o=0; t=EOPNOTSUPP; q=0"},
    {"STARTTLS refused; it goes on without", TLS "S: 454 4.7.0 not now\n" MAIL "S: 450 later\n" QUIT, "ot1q",
     "o=0; t=EOPNOTSUPP for 454 4.7.0 not now; 1=0 [450 later]; q=0"},
    {"STARTTLS, and no handshake", TLS "S: 220 go\nN: 5\nR: 454 oh\\r\\n\nX:\n", "ot", "o=0; t=EKEYREJECTED"},
    {"STARTTLS, and gone", TLS "S: 220 go\nX:\n", "ot", "o=0; t=EKEYREJECTED"},
    {"what is said before the handshake is not heard",
     TLS
     "R: 220 go\\r\\n250-mx\\r\\n250 CHUNKING\\r\\n250 ok\\r\\n250 o\nT:\nC: EHLO us.test\nS: 250-mx\nS: 250 DSN\n" MAIL
     "P:\nS: 450 later\n" QUIT,
     "ot1q", "o=0; t=0; 1=0 [450 later]; q=0"},
    {"what was offered before TLS counts no more", TLS AGAIN("DSN") "W:\n", "ota", "o=0; t=0; a=EOPNOTSUPP"},
    {"no password in the clear", GREET "S: 250-mx\nS: 250 AUTH PLAIN LOGIN\nW:\n", "oa", "o=0; a=EPERM"},
    {"AUTH PLAIN", TLS AGAIN("AUTH LOGIN PLAIN") "C: AUTH PLAIN AHVzZXIAcGVuY2ls\nS: 235 2.7.0 in\n" QUIT, "otaq",
     "o=0; t=0; a=0; q=0"},
    {"AUTH LOGIN",
     TLS AGAIN("AUTH LOGIN") "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dXNlcg==\nS: 334 UGFzc3dvcmQ6\nC: cGVuY2ls\nS: "
                             "235 in\n" QUIT,
     "otaq", "o=0; t=0; a=0; q=0"},
    {"AUTH refused", TLS AGAIN("AUTH PLAIN") "C: AUTH PLAIN AHVzZXIAcGVuY2ls\nS: 535 5.7.8 no\n" QUIT, "otaq",
     "o=0; t=0; a=EACCES for 535 5.7.8 no; q=0"},
    {"AUTH LOGIN refused in the middle",
     TLS AGAIN("AUTH LOGIN") "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dXNlcg==\nS: 535 no\n" QUIT, "otaq",
     "o=0; t=0; a=EACCES for 535 no; q=0"},
    {"a message under TLS",
     TLS AGAIN("PIPELINING") MAIL "C: RCPT TO:<a@x>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" TEXT
                                  "S: 250 kept\n" QUIT,
     "ot1q", "o=0; t=0; 1=0 [250 kept] sent; q=0"},
};
const size_t smtp_row_count = sizeof smtp_rows / sizeof *smtp_rows;
