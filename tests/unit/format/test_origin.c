#include "format/origin.h"

#include "format/header.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define INNER \
    "Received: from mx1.example.net (mx1.example.net [198.51.100.3]) by store.example.net with LMTP id 1; x\r\n"
#define SOCKET_LINE "Received: from mx1 by store.example.net with LMTP id 1; x\r\n"
#define PRIVATE_LINE "Received: from mx1 (unknown [10.0.0.3]) by store.example.net with LMTP id 1; x\r\n"
#define ORIGIN "Received: from helo.example (ptr.example [192.0.2.1]) by mx1.example.net with ESMTPS id 2; x\r\n"
#define FORGED "Received: from liar (a.example [203.0.113.9]) by mx1.example.net with SMTP id 3; x\r\n"

static const struct {
    const char *header, *ip;
    size_t hops;
    unsigned lines;
} origins[] = {
    {ORIGIN FORGED "\r\n", "192.0.2.1", 0, 1},
    {INNER ORIGIN FORGED "\r\n", "192.0.2.1", 1, 2},
    {SOCKET_LINE ORIGIN FORGED "\r\n", "192.0.2.1", 0, 2},
    {"Return-Path: <a@b>\r\n" PRIVATE_LINE "X-Spam: no\r\n" ORIGIN "\r\n", "192.0.2.1", 0, 2},
    /* The provider under another name: the topmost `by` says it. */
    {"Received: by mx.google.com with SMTP id 1; x\r\n"
     "Received: from h (p.example [192.0.2.7]) by x.google.com with ESMTPS id 2; x\r\n\r\n",
     "192.0.2.7", 0, 2},
    /* A line below that somebody else wrote is not believed. */
    {SOCKET_LINE "Received: from a (b.example [203.0.113.9]) by elsewhere.example with SMTP; x\r\n\r\n", "", 0, 1},
    /* A client that calls itself one of the provider's is none. */
    {"Received: from mx1.example.net (ptr.example [192.0.2.1]) by mx2.example.net with SMTP; x\r\n" FORGED "\r\n",
     "192.0.2.1", 0, 1},
    {"Received: from mx1.example.net (badexample.net [192.0.2.1]) by mx2.example.net with SMTP; x\r\n" FORGED "\r\n",
     "192.0.2.1", 0, 1},
    {"Subject: none\r\n\r\n" ORIGIN, "", 0, 0},
    {"Received: (qmail 1 invoked by uid 2); x\r\n" ORIGIN "\r\n", "192.0.2.1", 0, 1},
    /* Names from inside are the provider's behind a client of its own, and the first other one tells its domain. */
    {"Received: from b.internal (b.nyi.internal [10.2.2.5]) by store7 (Cyrus) with LMTPA; x\r\n"
     "Received: from mx5 ([10.2.2.6]) by b.internal (LMTPProxy); x\r\n"
     "Received: from mx5.brand.example (localhost [127.0.0.1]) by mx5.brand.example with ESMTP id 1; x\r\n"
     "Received: from h.example (p.example [192.0.2.8]) by mx6.brand.example (Postfix) with ESMTPS id 2; x\r\n" FORGED
     "\r\n",
     "192.0.2.8", 0, 4},
    {"Received: from a (b.example [192.0.2.8]) by 0 with SMTP; x\r\n" FORGED "\r\n", "192.0.2.8", 0, 1},
    {SOCKET_LINE "Received: from a (b.example [203.0.113.9]) with SMTP; x\r\n\r\n", "", 0, 1},
    {SOCKET_LINE "Received: from a (b.example [203.0.113.9]) by 203.0.113.10 with SMTP; x\r\n\r\n", "", 0, 1},
};

static void origins_are_found(void **state)
{
    const struct span domains[] = {SPAN("example.net")};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        struct arena arena;
        struct origin o;
        struct ip_address ip;
        arena_init(&arena, 65536);
        origin_find(span_text(origins[i].header), domains, 1, &arena, &o);
        bool wanted = ip_address_parse(span_text(origins[i].ip), &ip);
        if (o.is_known != wanted || o.hop_count != origins[i].hops || o.lines != origins[i].lines)
            print_error("row %zu: known %d hops %zu lines %u\n", i, o.is_known, o.hop_count, o.lines);
        assert_int_equal(o.is_known, wanted);
        if (wanted)
            assert_true(ip_address_equal(&o.line.ip, &ip));
        assert_int_equal(o.hop_count, origins[i].hops);
        assert_int_equal(o.lines, origins[i].lines);
        arena_release(&arena);
    }
}

static void domains_are_compared_by_labels(void **state)
{
    assert_true(received_is_below((struct span)SPAN("mx.Example.NET"), (struct span)SPAN("example.net")));
    assert_true(received_is_below((struct span)SPAN("example.net"), (struct span)SPAN("example.net")));
    assert_false(received_is_below((struct span)SPAN("badexample.net"), (struct span)SPAN("example.net")));
    assert_false(received_is_below((struct span)SPAN("net"), (struct span)SPAN("example.net")));
    assert_false(received_is_below((struct span)SPAN("example.net"), (struct span)SPAN("")));
    assert_true(span_is(origin_domain((struct span)SPAN("pop.example.net")), "example.net"));
    assert_true(span_is(origin_domain((struct span)SPAN("pop.mail.example.net")), "mail.example.net"));
    assert_true(span_is(origin_domain((struct span)SPAN("example.net")), "example.net"));
    assert_true(span_is(origin_domain((struct span)SPAN("localhost")), "localhost"));
    assert_true(span_is(origin_domain((struct span)SPAN("example.co.uk")), "example.co.uk"));
    assert_true(span_is(origin_domain((struct span)SPAN("pop.example.co.uk")), "example.co.uk"));
    assert_true(span_is(origin_domain((struct span)SPAN("pop.gmx.com")), "gmx.com"));
    assert_true(span_is(origin_domain((struct span)SPAN("192.0.2.1")), "192.0.2.1"));
}

/* Lines of the form that the programs and providers of most mail write; names and addresses are made up but for those
 * that the providers' own servers bear. Below the origin stands what the client brought: it claims to be the
 * provider's. */
#define LIE(by) "Received: from liar (liar.example [203.0.113.9]) by " by " with ESMTPS id 9; x\r\n\r\n"
#define FROM "mail.sender.example"

static const struct {
    const char *what, *host, *header, *ip, *helo;
} providers[] = {
    {"Gmail", "pop.gmail.com",
     "Delivered-To: bob@gmail.com\r\n"
     "Received: by 2002:a05:6402:2281:b0:55f:c8a5:d6f0 with SMTP id cw1csp123456edb;\r\n"
     "        Sat, 21 Nov 2026 02:00:00 -0800 (PST)\r\n"
     "X-Received: by 2002:a17:907:d388:b0:9a1:bcd5:1f2d with SMTP id vh8-20020a;\r\n"
     "Return-Path: <carol@sender.example>\r\n"
     "Received: from " FROM " (" FROM ". [192.0.2.8])\r\n"
     "        by mx.google.com with ESMTPS id n1-2002si123ejb.1.2026.11.21.02.00.00\r\n"
     "        for <bob@gmail.com>\r\n"
     "        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);\r\n"
     "        Sat, 21 Nov 2026 02:00:00 -0800 (PST)\r\n" LIE("mx.google.com"),
     "192.0.2.8", FROM},
    {"Gmail, of one of its customers", "pop.gmail.com",
     "Received: by 2002:a05:6402:2281:b0:55f:c8a5:d6f0 with SMTP id cw1csp123456edb; x\r\n"
     "Received: from mail-sor-f41.google.com (mail-sor-f41.google.com. [209.85.220.41]) by mx.google.com with SMTPS id "
     "a1 for <bob@gmail.com> (Google Transport Security); x\r\n"
     "Received: by 2002:a17:906:1185:b0:a00:2686:6b41 with SMTP id 5mr1; x\r\n\r\n",
     "", ""},
    {"Outlook", "outlook.office365.com",
     "Received: from AM0PR04MB1234.eurprd04.prod.outlook.com (2603:10a6:208:c1::10)\r\n"
     " by DB8PR04MB5678.eurprd04.prod.outlook.com with HTTPS; Sat, 21 Nov 2026 10:00:02 +0000\r\n"
     "Received: from DB6PR07CA0063.eurprd07.prod.outlook.com (2603:10a6:6:2a::25) by\r\n"
     " AM0PR04MB1234.eurprd04.prod.outlook.com (2603:10a6:208:c1::10) with Microsoft SMTP Server (version=TLS1_2,\r\n"
     " cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.7000.1; Sat, 21 Nov 2026 10:00:01 +0000\r\n"
     "Received: from DB5EUR01FT037.eop-EUR01.prod.protection.outlook.com\r\n"
     " (2603:10a6:6:2a:cafe::73) by DB6PR07CA0063.outlook.office365.com\r\n"
     " (2603:10a6:6:2a::25) with Microsoft SMTP Server (version=TLS1_2) id 15.20.7000.1 via Frontend Transport; x\r\n"
     "Received: from " FROM " (192.0.2.8) by\r\n"
     " DB5EUR01FT037.mail.protection.outlook.com (10.152.5.100) with Microsoft SMTP Server\r\n"
     " (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20.7000.1 via Frontend Transport; x\r\n" LIE(
         "DB5EUR01FT037.mail.protection.outlook.com"),
     "192.0.2.8", FROM},
    {"Yahoo", "pop.mail.yahoo.com",
     "X-Originating-Ip: [192.0.2.8]\r\n"
     "Received-SPF: pass (domain of sender.example designates 192.0.2.8 as permitted sender)\r\n"
     "Received: from 192.0.2.8 (EHLO " FROM ")\r\n by atlas108.free.mail.ne1.yahoo.com with SMTPs\r\n"
     " (version=TLSv1_3 cipher=TLS_AES_128_GCM_SHA256);\r\n Sat, 21 Nov 2026 10:00:00 +0000\r\n" LIE(
         "atlas1.free.mail.ne1.yahoo.com"),
     "192.0.2.8", FROM},
    {"Yahoo, in two steps", "pop.mail.yahoo.com",
     "Received: from 10.253.229.228 by atlas314.free.mail.bf1.yahoo.com pop.mail.yahoo.com with HTTPS; x\r\n"
     "Received: from 192.0.2.8 (EHLO " FROM ") by 10.197.37.73 with SMTPs; x\r\n" LIE("mta1.mail.yahoo.com"),
     "192.0.2.8", FROM},
    {"GMX", "pop.gmx.net",
     "Return-Path: <carol@sender.example>\r\n"
     "Received: from " FROM " ([192.0.2.8]) by mx-ha.gmx.net (mxgmx114\r\n [212.227.17.5]) with ESMTPS (Nemesis) id "
     "1N5GE1-1rJX2O0cKJ-011Dwp for\r\n <bob@gmx.net>; Sat, 21 Nov 2026 11:00:00 +0100\r\n" LIE("mx-ha.gmx.net"),
     "192.0.2.8", FROM},
    {"Fastmail", "pop.fastmail.com",
     "Received: from phl-compute-05.internal (phl-compute-05.phl.internal [10.202.2.45])\r\n"
     "\t by sloti1d1t03 (Cyrus 3.11.0-alpha0) with LMTPA; Sat, 21 Nov 2026 05:00:01 -0500\r\n"
     "Received: from phl-mx-03 ([10.202.2.202])\r\n  by phl-compute-05.internal (LMTPProxy); x\r\n"
     "Received: from phl-mx-03.messagingengine.com (localhost [127.0.0.1])\r\n"
     "\tby mailmx.phl.internal (Postfix) with ESMTP id 0A1B; x\r\n"
     "Received: from " FROM " (" FROM " [192.0.2.8])\r\n"
     "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n"
     "\t(No client certificate requested)\r\n\tby phl-mx-03.messagingengine.com (Postfix) with ESMTPS\r\n"
     "\tfor <bob@fastmail.com>; x\r\n" LIE("phl-mx-04.messagingengine.com"),
     "192.0.2.8", FROM},
    {"Postfix and Dovecot", "pop.example.net",
     "Received: from mx.example.net\r\n\tby store.example.net with LMTP\r\n\tid 8J+vAQ\r\n\t(envelope-from "
     "<carol@sender.example>)\r\n\tfor <bob@example.net>; x\r\n"
     "Received: from " FROM " (" FROM
     " [192.0.2.8])\r\n\t(using TLSv1.3 with cipher X (256/256 bits)\r\n\t key-exchange "
     "X25519)\r\n\tby mx.example.net (Postfix) with ESMTPS id 4F2A\r\n\tfor <bob@example.net>; x\r\n" LIE(
         "mx.example.net"),
     "192.0.2.8", FROM},
    {"Exim", "pop.example.net",
     "Received: from ptr.sender.example ([192.0.2.8]:54321 helo=" FROM ")\r\n\tby mx.example.net with esmtps  "
     "(TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n\t(Exim 4.96)\r\n\t(envelope-from <carol@sender.example>)\r\n"
     "\tid 1r5abc-0001AB-2C\r\n\tfor bob@example.net;\r\n\tSat, 21 Nov 2026 10:00:00 +0000\r\n" LIE("mx.example.net"),
     "192.0.2.8", FROM},
    {"Sendmail", "pop.example.net",
     "Received: from " FROM " (ptr.sender.example [192.0.2.8] (may be forged))\r\n"
     "\tby mx.example.net (8.17.1/8.17.1/Debian-2) with ESMTPS id 3ALA0001\r\n"
     "\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NOT)\r\n\tfor <bob@example.net>; x\r\n" LIE(
         "mx.example.net"),
     "192.0.2.8", FROM},
    {"qmail", "pop.example.net",
     "Received: (qmail 12345 invoked by uid 89); 21 Nov 2026 10:00:00 -0000\r\n"
     "Received: from unknown (HELO " FROM
     ") (ident@192.0.2.8)\r\n  by mx.example.net with ESMTPS (TLS_AES_256_GCM_SHA384 "
     "encrypted); 21 Nov 2026 10:00:00 -0000\r\n" LIE("mx.example.net"),
     "192.0.2.8", FROM},
    {"Exchange", "pop.example.net",
     "Received: from EX1.corp.example.net (10.0.0.5) by EX2.corp.example.net (10.0.0.6) with\r\n"
     " Microsoft SMTP Server (version=TLS1_2, cipher=X) id 15.1.2507.6 via Mailbox Transport; x\r\n"
     "Received: from " FROM " (192.0.2.8) by EX1.corp.example.net (10.0.0.5)\r\n"
     " with Microsoft SMTP Server id 15.1.2507.6 via Frontend Transport; x\r\n" LIE("EX1.corp.example.net"),
     "192.0.2.8", FROM},
    /* Whoever is fetched from elsewhere has none of a great provider's names. */
    {"A client that calls itself Outlook's", "pop.example.net",
     "Received: from mx1.outlook.com (2603:10a6:6:2a::25) by mx.example.net with ESMTPS id 1; x\r\n" LIE(
         "mx1.outlook.com"),
     "2603:10a6:6:2a::25", "mx1.outlook.com"},
};

static void providers_are_read(void **state)
{
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        struct span domain = origin_domain(span_text(providers[i].host));
        struct arena arena;
        struct origin o;
        struct ip_address ip;
        arena_init(&arena, 65536);
        origin_find(span_text(providers[i].header), &domain, 1, &arena, &o);
        bool wanted = ip_address_parse(span_text(providers[i].ip), &ip);
        if (o.is_known != wanted || (wanted && !ip_address_equal(&o.line.ip, &ip)))
            print_error("%s: known %d lines %u helo %s\n", providers[i].what, o.is_known, o.lines,
                        arena_text(&arena, o.line.helo));
        assert_int_equal(o.is_known, wanted);
        assert_true(o.lines > 0);
        if (wanted)
            assert_true(ip_address_equal(&o.line.ip, &ip));
        assert_true(span_is(o.line.helo, providers[i].helo));
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_found),
        cmocka_unit_test(providers_are_read),
        cmocka_unit_test(domains_are_compared_by_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
