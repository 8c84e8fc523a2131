import { caseNames } from './fixtures.ts';
import { describeMixedCases } from './run-case.ts';

describeMixedCases('wasm', caseNames);
