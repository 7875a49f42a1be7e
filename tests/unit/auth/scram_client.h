/* A SCRAM-SHA-256 client for tests, which can be told to do it wrong. */
#ifndef TESTS_SCRAM_CLIENT_H
#define TESTS_SCRAM_CLIENT_H

#include "base/buf.h"

struct scram_client {
    const char *header;      /* gs2-header: "n,,", "y,,", "p=tls-exporter,,", with an authzid */
    const char *bare;        /* client-first-message-bare; its nonce is CLIENT_NONCE */
    const char *password;    /* "pencil" where NULL */
    struct span binding;     /* behind the header in c= */
    const char *sent_header; /* in c= instead of `header`, where not NULL */
    const char *nonce;       /* in r= instead of the server's, where not NULL */
    const char *extension;   /* behind the nonce of the final message: ",m=x", "" for none */
    bool breaks_proof;
};

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"

void scram_client_first_write(const struct scram_client *c, struct buf *out);
/* False when the server's message does not parse or its nonce does not begin with ours. `server_final` gets what an
 * honest server must answer. */
bool scram_client_final_write(const struct scram_client *c, struct span server_first, struct buf *out,
                              struct buf *server_final);

#endif
