pw
