import { describeMixedCases } from './run-case.ts';

describeMixedCases('reference', ['mean', 'transf']);
