/**
 * How many times slower than an ordinary machine this one is: an emulated one says so (test/vm). Deadlines and
 * bounds on time in tests are multiplied by it; nothing else may be.
 */
export const PACE = Number(process.env.LAZARUS_TEST_PACE ?? 1)
