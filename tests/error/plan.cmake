# Group H of the bad inputs: plan files.
planish_test(error_plan_test SOURCES error/plan_bytes_test.cc error/plan_rules_test.cc
             LIBRARIES planish_plan_testing)
