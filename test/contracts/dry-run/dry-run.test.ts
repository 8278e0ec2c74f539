import { DRY_CASES } from './cases.ts'
import { dryRunContract } from './dry-run-contract.ts'

for (const one of DRY_CASES) dryRunContract(one)
