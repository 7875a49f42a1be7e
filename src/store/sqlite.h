/* The embedded driver: SQLite 3. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "store/database.h"

extern const struct database_driver sqlite_driver;

#endif
