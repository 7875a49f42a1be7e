/* A backup's manifest. What was understood, written again, is the same text, and no name leads out of the backup. */
#include "store/backup_manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct backup_manifest manifest;
    struct buf problem, out;
    arena_init(&arena, 1 << 20);
    buf_init(&problem, 1000);
    buf_init(&out, 1 << 20);
    if (backup_manifest_parse(span_from(data, size), &arena, &manifest, &problem)) {
        for (size_t i = 0; i < manifest.count; i++)
            if (strstr(manifest.files[i].name, "..") || manifest.files[i].name[0] == '/')
                abort();
        backup_manifest_write(&manifest, &out);
        /* Numbers may have had zeros in front. */
        struct backup_manifest again;
        if (!backup_manifest_parse(buf_span(&out), &arena, &again, &problem) || again.count != manifest.count ||
            again.mark != manifest.mark || again.time != manifest.time)
            abort();
    } else if (!problem.size) {
        abort();
    }
    buf_release(&problem);
    buf_release(&out);
    arena_release(&arena);
    return 0;
}
