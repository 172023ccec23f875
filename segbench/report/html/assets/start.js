"use strict";
// The last script: all parts are known, so the data is unpacked and they begin.
Report.start();
