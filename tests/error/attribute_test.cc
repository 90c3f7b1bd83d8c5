#include "expect_status.h"
