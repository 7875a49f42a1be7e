/* store check, store rebuild: straight on the files, without a server */
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/store_client.h"
#include "store/check.h"
#include "store/rebuild.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>
